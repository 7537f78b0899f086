"""Page 1: what changes when the network forgets a class."""

import streamlit as st

from wfviz.errors import WfvizError
from wfviz.figures import bars, sentences
from wfviz.ui import definitions, looking, together
from wfviz.ui.state import current
from wfviz.ui.widgets import chart, how, switch
from wfviz.ui.words import plain, sentence

state = current()
classes, gone = state.network.classes, state.together

st.title(plain(f"What changes when the network forgets {state.names or 'a class'}?"))
try:
    found = together.counted(state)
    words = sentences.forgetting(classes, found.counts, *found.correct, gone)
    if gone:
        words += " " + sentences.taken_for(classes, found.taken.sum(0), gone)
    st.markdown(plain(words))
except WfvizError as error:
    found = None
    st.markdown(sentence(error))

with st.grid(2, min_column_width=340, gap="medium") as halves:
    with halves.cell():
        source = switch("Pictures", list(looking.SHOW), "source")
        try:
            look = looking.SHOW[source](state)
        except WfvizError as error:
            look = None
            st.error(sentence(error), icon=":material/image_not_supported:")
    with halves.cell():
        looking.large(state, look)

if found is not None:
    st.subheader("Accuracy by class")
    definitions.numbers(Acc_f=found.acc_f if gone else None, Acc_r=found.acc_r if gone else None)
    before, after = found.accuracy
    chart(bars.accuracy_bars(classes, before, after, found.counts, gone), words, "accuracy")
    if len(classes) > bars.MOST_PAIRS:
        which = f"The {bars.MOST_PAIRS} classes that change most" if gone else f"The first {bars.MOST_PAIRS} classes"
        st.caption(f"{which} are drawn, of {len(classes):,}; all are in the table.")
    if found.note:
        st.caption(found.note)
    with st.expander("The same as a table", icon=":material/table:"):
        st.dataframe(
            looking.accuracy_table(classes, found.counts, *found.correct, before, after),
            hide_index=True,
            column_config=looking.TABLE_FORMATS,
            alt=words,
        )

how(
    """
**Before** is the original network; **after** is the same network with every filter multiplied by its gate in the row
of the forgotten class, or by its gates in the rows of several. Both see the same picture, cut to a square and resized to
what the network takes. The probabilities are the softmax of its outputs and are computed now; the accuracies come from
the evaluation that is stored with the network: correct pictures over pictures of a class, on the split chosen in the side
bar. For several classes at once nothing is stored, so at most 2,000 pictures are classified now, always the same ones.
A change is given in percentage points; the average over the other classes weighs every class alike.
"""
)

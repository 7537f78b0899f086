"""Page 3: what forgetting costs the other classes, what the forgotten one is taken for, and the confusion behind it."""

import streamlit as st

from wfviz.errors import WfvizError
from wfviz.figures import sentences
from wfviz.ui import cached, comparing, together
from wfviz.ui.state import current
from wfviz.ui.widgets import how
from wfviz.ui.words import plain, sentence

state = current()
network, classes, gone = state.network, state.network.classes, state.together

st.title(plain(f"What does the network mix up{f' once it forgets {state.names}' if gone else ''}?"))
try:
    found = together.counted(state)
    if gone or found.confusion is None:
        words = sentences.forgetting(classes, found.counts, *found.correct, gone)
        words += " " + sentences.taken_for(classes, found.taken.sum(0), gone) if gone else ""
    else:
        words = sentences.mix_ups(classes, found.confusion[0])
    st.markdown(plain(words))
except WfvizError as error:
    found = None
    st.markdown(sentence(error))
try:
    stored = cached.evaluation(network)
except WfvizError as error:
    stored = None
    if found is not None:
        st.markdown(sentence(error))

with st.grid(2, min_column_width=340, gap="medium") as halves:
    with halves.cell():
        if stored is not None:
            comparing.overview(state, stored)
    with halves.cell():
        if found is not None:
            comparing.flow(state, found)

if found is not None:
    st.subheader("Confusion before and after")
    if found.note:
        st.caption(found.note)
    if found.confusion is None:
        st.info("With over 100 classes there is no confusion matrix to show.", icon=":material/grid_off:")
    cell = comparing.cell(classes)
    if found.confusion is not None:
        comparing.matrices(classes, found, cell, words)
    comparing.pictures(state, cell, found)

how(
    """
The overview holds, for every class that can be forgotten (row), the change of the accuracy of every class (column), in
percentage points, centred on 0. In the flow a band is as wide as its pictures are many; small ends are drawn as one.

Below, a row is a true class, a column what its pictures are taken for; every row is given as a share of its pictures, so
that rows sum to 100 %. The first matrix is the original network, the second the same network with the rows of the
forgotten classes applied to its gates; both have one colour scale, on which small shares are lifted so that rare mistakes
show. The third is after minus before, in percentage points. All of it comes from the evaluation stored with the network;
only the pictures of a cell are looked at now, and, for several classes at once, at most 2,000 pictures of the split.
"""
)

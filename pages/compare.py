"""Page 6: every method beside the others, two of them side by side, and what they cost."""

import streamlit as st

from wfviz.figures import verdicts
from wfviz.ui import compared, screening
from wfviz.ui.state import current
from wfviz.ui.widgets import how
from wfviz.ui.words import plain

state = current()
title, answer = st.empty(), st.empty()
comparison = compared.chosen(state)
forget, note = (None, "") if comparison is None else compared.forgotten(state, comparison)
name = "" if comparison is None or forget is None else f" {compared.whose(comparison, forget)}"
title.title(plain(f"Which method forgets{name} best?"))

if comparison is not None:
    found = compared.table(comparison, state.split, forget)
    words = verdicts.best(found, compared.where(comparison, forget))
    answer.markdown(plain(words))
    if note:
        st.caption(plain(note))
    by, worst = screening.asked()
    if comparison.finished:
        screening.table(comparison, found, by, worst, screening.two(comparison), words)
        screening.failures(comparison, forget)
        st.subheader("Two methods side by side")
        pair = screening.drop_downs(comparison)
        screening.side_by_side(state, comparison, pair, forget)
        st.subheader("What it costs")
        screening.price_list(comparison, pair)
        screening.making(comparison)
    else:
        screening.failures(comparison, forget)

how(
    """
Every method starts from the same original, forgets one class at a time and is judged by the same measurements; they are
stored and read here. With a class in the side bar the numbers are of that class (mean and standard deviation over seeds),
with “none” over all forgotten classes and seeds; the worst class is the one of the worst single row. Shares are in
percent, on the split of the side bar for Acc_r and Acc_f, on test pictures elsewhere. Relearning that never ended counts
as its limit, which makes the mean a lower bound (≥). An attack below 0.5 tells as much the other way round and counts as
one minus itself. **Original** forgets nothing, **retrained without the class** is what unlearning aims at, and **logit
masking** only never says the name: no method should be praised for what masking does as well.

Confusion matrices are added up over the rows they stand for. CKA is linear (Kornblith et al. 2019, Eq. 3); 1 means the same
features up to rotation and scale. The maps are the PCA plane of the original's features, the same for all. A price for k
classes is the shared round once and the mean for one class k times; methods that change weights keep a whole network for every
class that can be forgotten, masks and gates only themselves.
"""
)

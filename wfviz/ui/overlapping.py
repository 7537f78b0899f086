"""Which classes share filters, beside which classes the original network mixes up."""

from __future__ import annotations

import numpy as np
import streamlit as st

from wfviz import relations as rel
from wfviz.errors import WfvizError
from wfviz.figures import overlap as figures
from wfviz.scope import Scope
from wfviz.ui import cached, related
from wfviz.ui.state import State
from wfviz.ui.widgets import chart, switch
from wfviz.ui.words import plain, sentence

MEASURES = {"shared top filters": "overlap", "likeness of rows": "likeness"}  # switch: name on hover


def view(state: State, scope: Scope, k: int) -> None:
    """Two heat maps side by side, and how well they agree, in a sentence."""
    classes, forget = state.network.classes, state.forget
    measure = switch("Measure", list(MEASURES), "measure")
    shared = related.overlap(state.network, scope, k) if MEASURES[measure] == "overlap" else rel.likeness(scope.gates)
    cosine = MEASURES[measure] == "likeness"
    mixed, said = _mixed(state, shared, cosine)
    st.markdown(plain(said))
    shown = figures.shown_classes(shared, forget)
    with st.grid(2, min_column_width=250, gap="small"):
        with st.container(gap="xsmall"):
            st.markdown("**Likeness of rows**, cosine in %" if cosine else "**Overlap of filters**, in %")
            chart(figures.pair_figure(shared, classes, MEASURES[measure], shown, forget), said, "overlap")
        if mixed is not None:
            with st.container(gap="xsmall"):
                st.markdown("**Taken for each other**, in %")
                chart(figures.pair_figure(mixed, classes, "taken for each other", shown, forget), said, "mixed_up")
    if len(shown) < len(classes):
        st.caption(f"The {len(shown)} classes that {'are most alike' if cosine else 'overlap most'} are drawn; the numbers are over all {len(classes):,}.")


def _mixed(state: State, shared: np.ndarray, cosine: bool) -> tuple[np.ndarray | None, str]:
    """How often the original network takes two classes for each other, and the sentence; None where it is not stored."""
    try:
        confusion = cached.evaluation(state.network).confusion.get(state.split)
    except WfvizError as error:
        return None, sentence(error)
    if confusion is None:
        return None, "With over 100 classes no confusion matrix is stored, so there is nothing to compare the overlap with."
    mixed = rel.mixed_up(confusion[0])
    return mixed, figures.words(state.network.classes, shared, mixed, rel.agreement(shared, mixed), state.split, cosine)

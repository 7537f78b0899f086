"""The parts of page 5: what is explained, and the maps side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from wfviz.attribution import agreement, cam_layers, methods
from wfviz.figures import attributions as figures
from wfviz.ui import cached
from wfviz.ui.gallery import picture_url
from wfviz.ui.looking import Look
from wfviz.ui.state import State
from wfviz.ui.widgets import chart, choice, switch
from wfviz.ui.words import plain

MOST_CHIPS = 5  # choices up to which each is a chip
TRUE = "true class"
FINE = 320  # pixels of a large picture that are sent


def asked(state: State, net) -> tuple[str, str | None, str]:
    """The switches: (method, layer or None, which class is explained)."""
    known = methods(net)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = _switch("Method", [name for name, own in figures.METHODS.items() if own in known], "method")
        which = TRUE if method == "attention rollout" else switch("Class explained", [TRUE, "predicted class"], "explain")
        layer = None
        if method == "grad-cam":
            layers = cam_layers(net)[::-1]
            layer = _switch("Layer", layers, "cam")
    return method, layer, which


def _switch(label: str, options: Sequence[str], key: str) -> str:
    """A few choices as a row, many as a drop-down; what another network offered gives way to the first one."""
    if key in st.session_state and st.session_state[key] not in options:
        st.session_state[key] = options[0]
    return switch(label, options, key) if len(options) <= MOST_CHIPS else choice(label, options, key)


def target_of(look: Look, which: str) -> int:
    """The class whose output is explained: the true one where it is known, else what the original network says."""
    return look.truth if which == TRUE and look.truth is not None else int(look.before.argmax())


def maps(state: State, look: Look, target: int, method: str, layer: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The map before and, where a class is forgotten, after: each [H, W]."""
    own = figures.METHODS[method]
    before = cached.attribution(state.network, look.pixels, target, own, None, layer)
    after = None if state.told is None else cached.attribution(state.network, look.pixels, target, own, state.told, layer)
    return before, after


def agree(before: np.ndarray, after: np.ndarray | None) -> float | None:
    return None if after is None else agreement(before, after)


def side_by_side(state: State, look: Look, before: np.ndarray, after: np.ndarray | None, signed: bool, words: str) -> None:
    """The picture, the maps at one scale, and their difference."""
    ends = figures.ends_of([before] if after is None else [before, after], signed)
    shown = [("Before", before, ends, "map_before")]
    if after is not None:
        span = ends[1] if signed else ends[1] - ends[0]
        shown += [(f"{state.names} forgotten", after, ends, "map_after")]
        shown += [("After minus before", after - before, (-span, span), "map_difference")]
    with st.grid(4, min_column_width=180, gap="small"):
        with st.container(gap="xsmall"):
            st.markdown("**Picture**")
            figure = figures.picture_figure(picture_url(look.pixels, most=FINE), min(state.network.size, FINE))
            chart(figure, "The picture that is explained", "map_picture")
        for title, values, limits, key in shown:
            with st.container(gap="xsmall"):
                st.markdown(f"**{plain(title)}**")
                chart(figures.map_figure(values, look.pixels, limits), f"{title}: {words}", key)
    st.caption(figures.legend(ends, signed))

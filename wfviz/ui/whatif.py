"""What if some filters were closed: a choice of filters, a slider for their gates, and the accuracy that follows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from wfviz import relations as rel
from wfviz.errors import WfvizError
from wfviz.figures import bars
from wfviz.figures import confusion as figures
from wfviz.figures.style import called, count, percent
from wfviz.filters import confusion
from wfviz.scope import Scope
from wfviz.ui import cached
from wfviz.ui.state import State, check_link, check_several
from wfviz.ui.widgets import chart, fragment
from wfviz.ui.words import plain, sentence

LEVELS = tuple(f"{level / 20:.2f}" for level in range(20, -1, -1))  # gates, from open to closed
CLOSED = LEVELS[-1]
MOST_CLASSES = 100  # up to which the confusion matrix is drawn


@fragment
def section(state: State, scope: Scope, filters: list[str], isolated: int | None, k: int) -> None:
    """The whole of it. `filters`: the names on offer; `isolated`: the column that is isolated, chosen at the start."""
    st.subheader("What if filters are closed?")
    chosen, level = _controls(state, scope, filters, isolated, k)
    if not chosen:
        st.caption("Choose filters, isolate one in the graph, or forget a class and take its top filters.")
        return
    try:
        indices, before = cached.counted(state.network, state.split, None)
        after = cached.turned(state.network, state.split, scope.by_layer(chosen), level)
        labels = cached.labels(state.network, state.split)
    except WfvizError as error:
        st.info(sentence(error), icon=":material/image_search:")
        return
    classes = state.network.classes
    matrices = [confusion(labels[indices], predicted, len(classes)) for predicted in (before, after)]
    said = words(classes, matrices[0], matrices[1], len(chosen), level)
    sampled = "" if len(indices) == len(labels) else f" Always the same {len(indices):,} of the {count(len(labels), state.split + ' picture')}."
    st.markdown(plain(said + sampled))
    _figures(classes, matrices, said, f"gate{'s' if len(chosen) > 1 else ''} at {level:.2f}")


def _controls(state: State, scope: Scope, filters: list[str], isolated: int | None, k: int) -> tuple[list[int], float]:
    """The columns chosen and the level of their gates."""
    check_several("close", filters, "filter")
    check_link("level", LEVELS, "gate", CLOSED)
    _prefill(scope, isolated)
    if "close" in st.session_state:
        st.session_state["close"] = [name for name in st.session_state["close"] if name in scope.columns]
        filters = list(dict.fromkeys([*filters, *st.session_state["close"]]))  # the top of a class need not be among those on offer
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        names = st.multiselect(
            "Filters to close", filters, key="close", bind="query-params", placeholder="Choose filters", width=420,
            help="Their gates are moved in the original network; all others stay open.",
        )  # fmt: skip
        level = st.select_slider("Their gates, from open (1) to closed (0)", LEVELS, CLOSED, key="level", bind="query-params", width=320)
        if state.forgotten is not None:
            st.button(
                f"Top {k} of {plain(called(state.forgotten))}", icon=":material/filter_alt:", key="close_top",
                on_click=_take_top, args=(scope, state.forget, k),
            )  # fmt: skip
    return [scope.columns[name] for name in names if name in scope.columns], float(level)


def _prefill(scope: Scope, isolated: int | None) -> None:
    """Choose the isolated filter when it has just been isolated; a link that names filters is left as it is."""
    name = None if isolated is None else scope.name(isolated)
    linked = "close" not in st.session_state and "close" in st.query_params
    if name is not None and name != st.session_state.get("_closed_for") and not linked:
        st.session_state["close"] = [name]
    st.session_state["_closed_for"] = name


def _take_top(scope: Scope, forget: int, k: int) -> None:
    st.session_state["close"] = [scope.name(f) for f, _ in rel.top_filters(scope.gates[[forget]], k)[0]]


def words(classes: Sequence[str], before: np.ndarray, after: np.ndarray, n_filters: int, level: float) -> str:
    """What moving the gates of `n_filters` filters did. before, after: confusion counts [C, C]."""
    counts = before.sum(axis=1)
    right = [int(np.trace(m)) for m in (before, after)]
    total = int(counts.sum())
    head = f"With the gate of {count(n_filters, 'filter')} at {level:.2f}" if n_filters == 1 else f"With the gates of {n_filters:,} filters at {level:.2f}"
    said = f"{head} the network recognises {percent(right[1] / max(total, 1))} of {count(total, 'picture')} (before: {percent(right[0] / max(total, 1))})"
    change = (np.diagonal(after) - np.diagonal(before)) / np.maximum(counts, 1)
    worst = int(change.argmin())
    if change[worst] >= 0:
        return said + "; no class loses."
    return said + f"; {called(classes[worst])} loses most: {abs(100 * change[worst]):.1f} points."


def _figures(classes, matrices, said: str, changed: str) -> None:
    counts = matrices[0].sum(axis=1)
    before, after = (np.diagonal(m) / np.maximum(counts, 1) for m in matrices)
    with st.grid(3, min_column_width=300, gap="small") as places:
        with places.cell(column_span=2 if len(classes) <= MOST_CLASSES else 3), st.container(gap="xsmall"):
            st.markdown("**Accuracy by class**")
            chart(bars.accuracy_bars(classes, before, after, counts, None, changed), said, "what_if_accuracy")
            if len(classes) > bars.MOST_PAIRS:
                st.caption(f"The {bars.MOST_PAIRS} classes that change most are drawn, of {len(classes):,}.")
        if len(classes) <= MOST_CLASSES:
            with places.cell(), st.container(gap="xsmall"):
                st.markdown("**Confusion matrix**, in % of the row")
                figure = figures.confusion_figure(figures.shares(matrices[1]), matrices[1], classes)
                chart(figure, "Confusion matrix. " + said, "what_if_confusion")

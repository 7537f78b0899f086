"""The parts of page 2: what is isolated, and the card beside the graph."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from wfviz import relations as rel
from wfviz.figures import style
from wfviz.figures.graph import WIDTHS
from wfviz.scope import Scope, moved
from wfviz.ui import filtercard, related
from wfviz.ui.state import State
from wfviz.ui.widgets import choice
from wfviz.ui.words import plain

EVERYTHING = "everything"
MOST_LISTED = 5000  # filters up to which every one can be searched; beyond, those of the graph
TABLE_FORMATS = {
    "gate": st.column_config.NumberColumn("gate", format="%.3f", help="0 closed, 1 open"),
    "closed": st.column_config.ProgressColumn("1 − gate", format="%.3f", min_value=0.0, max_value=1.0),
    "classes that share it": st.column_config.NumberColumn("classes", help="Classes that have it among their top"),
}


def follow(slug: str, layer: str) -> None:
    """Take what is isolated and what is closed along when the layer changes; let go of what is not in the new one."""
    before, st.session_state["_scope"] = st.session_state.get("_scope"), (slug, layer)
    if before is None or before == (slug, layer):
        return

    def now(name: str) -> str | None:
        return moved(name, before[1], layer) if before[0] == slug else None

    if st.session_state.get("isolate", "").startswith("filter "):
        st.session_state["isolate"] = now(st.session_state["isolate"]) or EVERYTHING
    if st.session_state.get("close"):
        st.session_state["close"] = [new for name in st.session_state["close"] if (new := now(name))]


def offered(scope: Scope, graph) -> list[str]:
    """The filters that can be searched by name: those of the graph first, then all others, if they are not too many."""
    drawn = [scope.name(f) for f in rel.nodes_of(graph, rel.FILTER)]
    others = scope.columns if len(scope.columns) <= MOST_LISTED else _asked(scope)
    return list(dict.fromkeys([*drawn, *others]))


def _asked(scope: Scope) -> list[str]:
    """The filters that the link or the widgets ask for."""
    found = []
    for key in ("isolate", "close"):
        kept = st.session_state.get(key, st.query_params.get_all(key))
        found += [name for name in ([kept] if isinstance(kept, str) else kept) if name in scope.columns]
    return found


def focus(scope: Scope, filters: list[str], classes) -> tuple[str, int] | None:
    """The drop-down that isolates one of `filters` or a class; clicking a node sets the same value."""
    names = {f"class {name}": (rel.CLASS, c) for c, name in enumerate(classes)}
    names |= {name: (rel.FILTER, scope.columns[name]) for name in filters}
    picked = choice(
        "Isolate", [EVERYTHING, *names], "isolate",
        help="The same as clicking a filter or a class in the graph. Type a number to find a filter that is not drawn.",
    )  # fmt: skip
    return names.get(picked)


def click(scope: Scope, classes, node: list) -> None:
    """Isolate the clicked node, or show everything again if it already was."""
    kind, index = node[0], int(node[1])
    name = scope.name(index) if kind == rel.FILTER else f"class {classes[index]}"
    st.session_state["isolate"] = EVERYTHING if st.session_state.get("isolate") == name else name


def widths() -> str:
    """What the widths of the lines mean, thinnest first."""
    return ", ".join(words for _, _, words in reversed(WIDTHS))


def card(state: State, scope: Scope, k: int, node: tuple[str, int] | None):
    """What is known of the isolated filter or class; without one, of the forgotten class.

    Returns the place for what is computed of an isolated filter, or None.
    """
    classes = state.network.classes
    if node is None and state.forget is not None:
        node = (rel.CLASS, state.forget)
    with st.container(border=True, height=590):
        if node is None:
            st.markdown("**Nothing is isolated**")
            st.caption("Click a filter or a class, choose one under “Isolate”, or forget a class in the side bar.")
            _most_shared(state, scope, k)
        elif node[0] == rel.FILTER:
            filtercard.gates(state, scope, k, node[1])
            return st.container()
        else:
            _class_card(state, scope, k, node[1])
    return None


def _class_card(state: State, scope: Scope, k: int, index: int) -> None:
    gates, classes = scope.gates, state.network.classes
    st.markdown(f"**{plain(style.called(classes[index]))}** in {plain(scope.title)}")
    closed = int((gates[index] < 0.5).sum())
    st.caption(f"{closed} of {gates.shape[1]} gates are more than half closed. Filters in common with other classes:")
    shares = related.overlap(state.network, scope, k)[index]
    order = [int(c) for c in np.argsort(-shares, kind="stable") if c != index][:8]
    rows = pd.DataFrame({"class": [classes[c] for c in order], "overlap": [100 * shares[c] for c in order]})
    st.dataframe(
        rows, hide_index=True, height="content", alt=f"Overlap of the top filters of {classes[index]} with other classes",
        column_config={"overlap": st.column_config.ProgressColumn("overlap", format="%.1f %%", min_value=0, max_value=100)},
    )  # fmt: skip
    top = [f"{short(scope, f)} ({closed:.2f})" for f, closed in related.tops(state.network, scope, k)[index][:12]]
    st.caption(plain("Most closed: " + ", ".join(top)))


def _most_shared(state: State, scope: Scope, k: int) -> None:
    classes, users = state.network.classes, {}
    for c, row in enumerate(related.tops(state.network, scope, k)):
        for f, _ in row:
            users.setdefault(f, []).append(c)
    first = sorted(users, key=lambda f: (-len(users[f]), f))[:8]
    names = [", ".join(classes[c] for c in users[f][:rel.MOST_NAMES]) for f in first]
    more = [len(users[f]) - rel.MOST_NAMES for f in first]
    names = [name + (f" and {n:,} more" if n > 0 else "") for name, n in zip(names, more, strict=True)]
    rows = pd.DataFrame({"filter": [short(scope, f) for f in first], "classes": names})
    st.caption("Filters that stand for the most classes:")
    st.dataframe(rows, hide_index=True, height="content", alt="The filters that stand for the most classes")


def short(scope: Scope, column: int) -> str:
    """`#12`, or `conv1 #12` among all layers."""
    place = scope.places[column]
    return f"{place.layer} #{place.index}" if scope.whole else f"#{place.index}"


def table(state: State, scope: Scope, k: int) -> pd.DataFrame:
    """The relations as a table, the forgotten class first."""
    frame = related.table(state.network, scope, k)
    if state.forgotten is None:
        return frame
    return frame.iloc[np.argsort(frame["class"].to_numpy() != state.forgotten, kind="stable")]

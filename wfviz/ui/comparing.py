"""The parts of page 3: overview and flow, three matrices that share a scale, and the pictures behind a cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from wfviz.errors import WfvizError
from wfviz.figures import confusion as figures
from wfviz.figures import sentences
from wfviz.figures.flow import HEIGHT, OTHERS, flow_figure
from wfviz.figures.style import called, count
from wfviz.metrics.accuracy import WHOLE_CONFUSION, acc_f, acc_r, per_class_accuracy, spread
from wfviz.ui import cached, definitions
from wfviz.ui.gallery import Card, gallery, picture_url
from wfviz.ui.state import State
from wfviz.ui.together import Counted
from wfviz.ui.widgets import chart, choice
from wfviz.ui.words import plain, sentence

MOST_PICTURES = 12


def cell(classes) -> tuple[int, int] | None:
    """The cell that is looked at, from the two drop-downs; clicking a cell sets them."""
    whichever = "any" if "any" not in classes else "(any)"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        true = choice("True class", [whichever, *classes], "true", help="The same as clicking a cell of a matrix.")
        taken = choice("Taken for", [whichever, *classes], "taken", help="The same as clicking a cell of a matrix.")
        nothing = {"true": whichever, "taken": whichever}
        st.button(
            "No cell", icon=":material/close:", key="no_cell", disabled=whichever == true == taken,
            on_click=st.session_state.update, args=(nothing,),
        )  # fmt: skip
    if whichever in (true, taken):
        return None
    return classes.index(true), classes.index(taken)


def _click(classes, point: list) -> None:
    st.session_state.update(true=classes[int(point[0])], taken=classes[int(point[1])])


def forget_row(classes, row: int) -> None:
    """Forget the class of a row of the overview alone, as if it were chosen in the side bar."""
    st.session_state.update(forget=classes[row], several=False)


def matrices(classes, counted: Counted, chosen, words: str) -> None:
    """Before, after and their difference at the same size."""
    (before, after), shares = counted.confusion, [figures.shares(one) for one in counted.confusion]
    shown = [("Before", shares[0], before, False, "before")]
    if counted.gone:
        shown += [("After", shares[1], after, False, "after")]
        shown += [("Difference", shares[1] - shares[0], after - before, True, "difference")]
    with st.grid(3, min_column_width=240):
        for title, values, counts, change, key in shown:
            with st.container(gap="xsmall"):
                st.markdown(f"**{title}**, {'in points' if change else 'in % of the row'}")
                gone = () if key == "before" else counted.gone  # it stays as it is when another class is forgotten
                said = words if gone else sentences.mix_ups(classes, before)
                chart(
                    figures.confusion_figure(values, counts, classes, change, gone, chosen),
                    f"{title}: {said}", key, on_click=lambda point: _click(classes, point),
                )  # fmt: skip


def pictures(state: State, chosen: tuple[int, int] | None, counted: Counted) -> None:
    """The pictures of a cell, before and after: of those that were counted."""
    if chosen is None:
        st.caption(_how_to_choose(len(state.network.classes)))
        return
    true, taken = chosen
    try:
        found = _of_class(state, true, counted)
    except WfvizError as error:
        st.info(sentence(error), icon=":material/image_search:")
        return
    with st.container(height=320, border=False):
        for column, (name, indices, predicted) in zip(st.columns(len(found)), found, strict=True):
            with column:
                _side(state, true, taken, name, indices, predicted)


def _how_to_choose(n_classes: int) -> str:
    if n_classes > WHOLE_CONFUSION:
        return "Choose a true class and what it is taken for to see its pictures."
    which = "a cell" if n_classes <= figures.MOST_TARGETS else f"one of the {figures.MOST_MARKERS} largest cells"
    return f"Row: true class; column: what its pictures are taken for. Click {which}, or choose one above, to see its pictures."


def _of_class(state: State, true: int, counted: Counted) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """[(before or after, indices [N], predicted [N])] for the pictures of a true class."""
    sides = {"before": None} | ({"after": state.told} if counted.gone else {})
    if counted.seen is None:
        return [(name, *cached.predictions(state.network, state.split, true, told)) for name, told in sides.items()]
    indices, predicted = counted.seen
    own = cached.labels(state.network, state.split)[indices] == true
    return [(name, indices[own], row[own]) for name, row in zip(sides, predicted, strict=True)]


def _side(state: State, true: int, taken: int, name: str, indices, predicted) -> None:
    classes = state.network.classes
    inside = indices[predicted == taken]
    what = f"{count(len(inside), 'picture')} of {called(classes[true])} taken for {called(classes[taken])} {name}"
    more = f", the first {MOST_PICTURES}" if len(inside) > MOST_PICTURES else ""
    st.markdown(f"**{plain(what)}**{more}")
    if not len(inside):
        return
    shown = inside[:MOST_PICTURES]
    pixels = cached.thumbnails(state.network, state.split, shown.tolist())
    titles = [f"picture {i}: {classes[true]} taken for {classes[taken]}" for i in shown]
    gallery(
        [Card(picture_url(p), title, "", None, true == taken) for title, p in zip(titles, pixels, strict=True)],
        label=what, key=f"cell_{name}", smooth=state.network.size > 64, least=52,
    )  # fmt: skip


def overview(state: State, stored) -> None:
    """What forgetting each class costs the others. stored: the evaluation of the network."""
    classes = state.network.classes
    st.markdown("**What forgetting each class costs the others**")
    accuracy = per_class_accuracy(stored, state.split)
    change = accuracy[1:] - accuracy[0]
    said = sentences.collateral(classes, change)
    if len(classes) <= WHOLE_CONFUSION:
        chart(
            figures.collateral_figure(change, classes, state.together), said, "collateral",
            on_click=lambda point: forget_row(classes, int(point[0])),
        )  # fmt: skip
    st.caption(plain(said) + (" Click a row to forget that class." if len(classes) <= WHOLE_CONFUSION else ""))
    spreads = {"Acc_f": (acc_f(stored, state.split), np.argmax), "Acc_r": (acc_r(stored, state.split), np.argmin)}
    definitions.spreads({
        name: spread(values, classes, worst) if np.isfinite(values).any() else None for name, (values, worst) in spreads.items()
    })  # fmt: skip
    folded = st.expander("The same as a table", icon=":material/table:", key="collateral_table", on_change="rerun")
    if folded.open:  # with many classes it is long
        folded.dataframe(collateral_table(classes, change), alt=said, height=360)


def flow(state: State, counted: Counted) -> None:
    """Where the pictures of the forgotten classes go; clicking a band shows its pictures."""
    classes = state.network.classes
    verb = "are" if state.also else "is"
    st.markdown(f"**What {plain(state.names or 'a forgotten class')} {verb} taken for now**")
    words = sentences.taken_for(classes, counted.taken.sum(0), state.together) if counted.gone else ""
    with st.container(height=HEIGHT, border=False):
        if words:
            chart(
                flow_figure(classes, counted.taken, counted.gone), words, "flow",
                on_click=lambda point: _click_band(classes, point),
            )  # fmt: skip
        elif counted.gone:
            st.caption(plain(f"No picture of {state.names} is among those that were counted."))
        else:
            beside = ", or click a row beside," if len(classes) <= WHOLE_CONFUSION else ""
            st.caption(f"Forget a class in the side bar{beside} to see what its pictures are taken for.")


def _click_band(classes, point: list) -> None:
    if OTHERS not in point[:2]:
        _click(classes, point)


def collateral_table(classes, change: np.ndarray) -> pd.DataFrame:
    """Change of every class's accuracy in percentage points: a row for every forgotten class."""
    frame = pd.DataFrame(100 * change, columns=list(classes), index=pd.Index(list(classes), name="forgotten"))
    return frame.round(1)

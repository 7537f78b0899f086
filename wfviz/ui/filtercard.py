"""The card of one filter: its gates, the pictures it answers to, the picture it would like, and what closing it changes."""

from __future__ import annotations

import numpy as np
import streamlit as st

from wfviz.errors import WfvizError
from wfviz.figures import bars, sentences, style
from wfviz.scope import Scope
from wfviz.ui import cached, related, samples
from wfviz.ui.gallery import Card, gallery, picture_url
from wfviz.ui.state import State
from wfviz.ui.widgets import chart
from wfviz.ui.words import plain, sentence

SHOWN = 5  # pictures in a row
LOW, HIGH = 210, 320  # height of the bars, with up to twelve classes and with more


def gates(state: State, scope: Scope, k: int, column: int) -> None:
    """How far its gate is closed for every class."""
    place, row, classes = scope.places[column], scope.gates[:, column], state.network.classes
    users = [c for c, top in enumerate(related.tops(state.network, scope, k)) if column in {f for f, _ in top}]
    names = sentences.named(classes, users) or "no class"
    where = scope.described(column)
    words = f"{where[0].upper()}{where[1:]} is among the top {k} of {names}."
    st.markdown(f"**Filter #{place.index}** of {plain(where.partition(' of ')[2])}")
    whom = "every class" if len(classes) <= bars.MOST_PAIRS else f"the {bars.MOST_PAIRS} of {len(classes):,} classes for which it is closed furthest"
    st.caption(plain(f"Among the top {k} of {names}. How far its gate is closed for {whom} (1 − gate):"))
    figure = bars.gate_bars(classes, row, state.forget)
    figure.layout.height = LOW if len(classes) <= 12 else HIGH
    chart(figure, words, "filter_card")


def evidence(state: State, scope: Scope, column: int) -> None:
    """The pictures it is most active on and most relevant for, a picture made for it, and what flips without it."""
    place = scope.places[column]
    try:
        _favourites(state, place)
    except WfvizError as error:
        st.info(sentence(error), icon=":material/image_search:")
    _synthesised(state, place)
    try:
        _flips(state, place)
    except WfvizError:  # said above
        return


def _favourites(state: State, place) -> None:
    found = cached.favourites(state.network, state.split, place.layer)
    labels = cached.labels(state.network, state.split)
    said = dict(zip(*cached.counted(state.network, state.split, None), strict=True))
    rows = (
        ("Most active on", found.active[place.index], found.how_active[place.index], "activity"),
        ("Most relevant for", found.relevant[place.index], found.how_relevant[place.index], "relevance"),
    )
    for title, indices, values, what in rows:
        indices, values = indices[:SHOWN], values[:SHOWN]
        st.markdown(f"**{title}**")
        if not (values > 0).any():
            st.caption(f"No picture: its {what} is nowhere above zero.")
            continue
        pixels = cached.thumbnails(state.network, state.split, indices.tolist())
        cards = [
            _card(state, p, int(i), int(labels[i]), int(said[i]), f"{what} {v:.3g}")
            for p, i, v in zip(pixels, indices, values, strict=True)
            if v > 0
        ]
        _row(state, cards, f"Pictures the filter is {title.lower()}", f"filter_{what}")
    st.caption(f"Of {_looked_at(state, found.looked_at)}. Under each: what the network says of it.")


def _synthesised(state: State, place) -> None:
    st.markdown("**Would like to see**")
    try:
        pixels = cached.synthesised(state.network, place.layer, place.index)
    except WfvizError as error:
        st.caption(sentence(error))
        return
    picture, words = st.columns([2, 3], gap="small", wrap=False, vertical_alignment="center")
    picture.image(
        samples.png(pixels), width="stretch", alt=f"A picture made by optimisation that drives filter {place.index} of {place.layer}"
    )
    words.caption("Made from noise by gradient ascent on what this filter puts out, smoothed: no picture of the data.")


def _flips(state: State, place) -> None:
    indices, before = cached.counted(state.network, state.split, None)
    after = cached.turned(state.network, state.split, {place.layer: [place.index]}, 0.0)
    labels = cached.labels(state.network, state.split)[indices]
    changed = np.flatnonzero(before != after)
    st.markdown("**Closed alone, it changes**")
    st.caption(flip_words(labels, before, after) + f" Looked at: {_looked_at(state, len(indices))}.")
    if not len(changed):
        return
    shown = changed[:SHOWN]
    pixels = cached.thumbnails(state.network, state.split, indices[shown].tolist())
    classes = state.network.classes
    cards = [
        _card(state, p, int(indices[i]), int(labels[i]), int(before[i]), f"with it closed: {classes[after[i]]}", int(after[i]))
        for p, i in zip(pixels, shown, strict=True)
    ]
    _row(state, cards, "Pictures whose prediction changes when the filter is closed", "filter_flips", 72)


def flip_words(labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> str:
    """How many predictions change, and for better or worse. labels, before, after: class indices [N]."""
    changed = before != after
    n = int(changed.sum())
    if not n:
        return "no prediction."
    worse, better = int((changed & (before == labels)).sum()), int((changed & (after == labels)).sum())
    return f"{style.count(n, 'prediction')}: {worse:,} right before and wrong now, {better:,} wrong before and right now."


def _looked_at(state: State, n: int) -> str:
    """`all 360 test pictures`, `2,000 of the 10,000 test pictures, drawn with a fixed seed`."""
    total = len(cached.labels(state.network, state.split))
    what = style.count(total, f"{state.split} picture")
    return f"all {what}" if n == total else f"{n:,} of the {what}, always the same ones"


def _card(state: State, pixels, index: int, truth: int, said: int, detail: str, now: int | None = None) -> Card:
    classes = state.network.classes
    title = f"picture {index} of the {state.split} split: {classes[truth]}, taken for {classes[said]}; {detail}"
    end = said if now is None else now
    after = None if now is None else classes[now]
    return Card(picture_url(pixels), title, classes[said], after, end == truth, accent=truth == state.forget)


def _row(state: State, cards: list[Card], label: str, key: str, least: int = 52) -> None:
    gallery(cards, label=label, key=key, smooth=state.network.size > 64, least=least)

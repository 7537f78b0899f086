"""The pictures of page 1: the gallery, one of the visitor's own, and the one picture that is looked at closely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from wfviz.errors import WfvizError
from wfviz.figures import bars, sentences
from wfviz.ui import cached, samples
from wfviz.ui.gallery import Card, gallery, picture_url
from wfviz.ui.state import State, check_number
from wfviz.ui.widgets import chart
from wfviz.ui.words import plain, sentence

TABLE_FORMATS = {
    name: st.column_config.NumberColumn(name, format="%.1f %%") for name in ("before", "after")
} | {"change": st.column_config.NumberColumn("change (points)", format="%+.1f")}


LINKED = {"shuffle": "shuffle", "picked": "picture"}  # session state: name in the link
MOST_SHUFFLES = 100_000


def read_link() -> None:
    """Show the pictures that a link which was just opened asks for."""
    for key, name in LINKED.items():
        if key in st.session_state:
            continue
        check_number(name, 0, samples.SHOWN - 1 if key == "picked" else MOST_SHUFFLES, name)
        st.session_state[key] = int(float(st.query_params.get(name, 0)))


def write_link() -> None:
    """Put the pictures that are shown into the link."""
    for key, name in LINKED.items():
        value = str(st.session_state[key])
        if value == "0":
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != value:
            st.query_params[name] = value


@dataclass(frozen=True)
class Look:
    """One picture with its probabilities, each [C]. `after` is None where nothing is forgotten."""

    pixels: np.ndarray
    before: np.ndarray
    after: np.ndarray | None
    truth: int | None = None


def _from_data(state: State) -> Look | None:
    network, classes, told = state.network, state.network.classes, state.told
    read_link()
    try:
        labels = cached.labels(network, state.split)
    except WfvizError as error:
        st.info(sentence(error) + " Upload or draw one instead.", icon=":material/image_search:")
        return None
    if not len(labels):
        st.info("There is no picture in this split. Upload or draw one instead.", icon=":material/image_search:")
        return None
    indices = samples.draw(labels, state.together, st.session_state["shuffle"])
    before = cached.probabilities(network, state.split, indices, None)
    after = None if told is None else cached.probabilities(network, state.split, indices, told)
    pixels = cached.thumbnails(network, state.split, indices)
    picked = min(st.session_state["picked"], len(indices) - 1)
    truth = labels[indices]
    outcomes = after if after is not None else [None] * len(indices)
    gallery(
        [_card(classes, state.together, *one) for one in zip(indices, pixels, truth, before, outcomes, strict=True)],
        label="Pictures of the data set; choose one to look at it closely",
        key="gallery",
        selected=picked,
        smooth=network.size > 64,
        on_pick=lambda i: st.session_state.update(picked=i),
    )
    st.button(
        "Other pictures", icon=":material/shuffle:", key="other",
        on_click=lambda: st.session_state.update(shuffle=st.session_state["shuffle"] + 1),
    )  # fmt: skip
    write_link()
    return Look(pixels[picked], before[picked], None if after is None else after[picked], int(truth[picked]))


def _card(classes, forgotten, index, pixels, truth, before, after) -> Card:
    was = classes[int(before.argmax())]
    now = None if after is None else classes[int(after.argmax())]
    words = f"picture {index}, {classes[truth]}: before {was}" + ("" if now is None else f", after {now}")
    return Card(picture_url(pixels), words, was, now, (now or was) == classes[truth], accent=int(truth) in forgotten)


def _from_upload(state: State) -> Look | None:
    return _own(state, samples.uploaded(state.network))


def _from_camera(state: State) -> Look | None:
    return _own(state, samples.photographed(state.network))


def _from_drawing(state: State) -> Look | None:
    found = samples.drawn(state.network)
    fitted = " It is moved and scaled to fill the frame as the training pictures do." if samples.fits(state.network) else ""
    st.caption("Draw a picture of one of the classes; the network looks at it whenever the pen is lifted." + fitted)
    return _own(state, found)


def _own(state: State, pixels) -> Look | None:
    if pixels is None:
        return None
    before = cached.probabilities_of(state.network, pixels[None], None)[0]
    after = None if state.told is None else cached.probabilities_of(state.network, pixels[None], state.told)[0]
    return Look(pixels.numpy(), before, after)


SHOW = {"pictures": _from_data, "upload": _from_upload, "camera": _from_camera, "draw": _from_drawing}


def large(state: State, look: Look | None) -> None:
    """One picture and its probabilities before and after, side by side."""
    with st.container(height=470, border=False):
        if look is None:
            st.caption("A picture and its probabilities appear here.")
            return
        words = sentences.picture(state.network.classes, look.before, look.after, look.truth)
        st.markdown(f"**{plain(words)}**")
        picture, chances = st.columns([2, 3], gap="small", wrap=False)
        picture.image(samples.png(look.pixels), width="stretch", alt=words)
        picture.caption(f"what the network sees: {state.network.size}\u00a0×\u00a0{state.network.size}\u00a0pixels")
        with chances:
            chart(bars.probability_bars(state.network.classes, look.before, look.after, state.together), words, "chances")


def accuracy_table(classes, counts, before, after, share_before, share_after) -> pd.DataFrame:
    """Pictures, correct pictures and accuracy of every class, in percent and points."""
    return pd.DataFrame(
        {
            "class": list(classes),
            "pictures": np.asarray(counts),
            "right before": np.asarray(before),
            "right after": np.asarray(after),
            "before": 100 * np.asarray(share_before),
            "after": 100 * np.asarray(share_after),
            "change": 100 * (np.asarray(share_after) - np.asarray(share_before)),
        }
    )

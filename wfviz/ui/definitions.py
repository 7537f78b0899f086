"""What the numbers mean: the one place where the pages' definitions stand, each with its good direction and its ideal."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from wfviz.figures.style import called, percent
from wfviz.ui.words import plain, together

DEFINITIONS = {
    "Acc_f": "Accuracy on the pictures of the forgotten classes while they are forgotten. Lower is better, ideal: 0 %.",
    "Acc_r": "Accuracy on the pictures of all other classes meanwhile. Higher is better, ideal: that of the original network.",
    "α and gate": "One number α for every class and every filter; the gate is its sigmoid, from 0 (closed) to 1 (open). "
    "Gates of several forgotten classes multiply.",
    "insertion": "The gates of a class open again, those closed furthest first. Area under the curve of its probability, "
    "divided by the original's: higher is better, ideal: 1.",
    "deletion": "Filters of the original close in the same order. Area under the same curve: lower is better, ideal: 0.",
    "agreement": "Correlation of two maps over all pixels: 1 the same, 0 unrelated, −1 reversed. Neither end is better.",
    "F1": "Macro F1 over the classes that stay, on their test pictures. Higher is better.",
    "JS": "Jensen-Shannon divergence between the probabilities of the method and of the retrained network, in nats, mean over "
    "test pictures. Lower is better, ideal: 0.",
    "ZRF": "One minus the Jensen-Shannon divergence to an untrained network, in nats, on the forgotten pictures. Higher is "
    "better, ideal: that of the retrained network.",
    "relearn": "Epochs of 500 pictures until the class is recognised as well as before. Higher is deeper, ideal: that of the "
    "retrained network.",
    "attack": "Area under the ROC curve of the strongest attack that tells training pictures of the forgotten class from test "
    "pictures. Lower is better, ideal: that of the retrained network. The strongest of several that guess is a little above 0.5.",
    "probe": "Share of the forgotten pictures that a linear classifier on the input of the head still finds. Lower is deeper, "
    "ideal: that of the retrained network.",
    "CKA": "Likeness of the features ahead of the head to those of the retrained network (linear centred kernel alignment). "
    "Higher is better, ideal: 1.",
    "time": "Seconds to forget one class; a round shared by all classes is in the price list. Lower is better.",
    "bytes": "What has to be stored for every class that can be forgotten. Lower is better.",
    "over-forgetting": "Acc_r on the test split more than 2 points below that of the original and of the retrained network.",
    "± and worst": "Mean and standard deviation over classes, and the class for which the number is worst.",
}
GOOD = {  # the good direction, as an arrow
    "Acc_f": "↓", "Acc_r": "↑", "F1": "↑", "JS": "↓", "ZRF": "↑", "relearn": "↑", "attack": "↓", "probe": "↓", "CKA": "↑",
    "time": "↓", "bytes": "↓",
}  # fmt: skip
KEYS = {
    "Tab, Enter": "go to a button or a picture, press it",
    "← →": "step through a row of choices, or through the insertion and deletion curves",
    "R": "draw the page anew",
}


def definition(name: str) -> str:
    """The sentences that are shown when one hovers over a number called `name`."""
    return DEFINITIONS[name]


def show() -> None:
    """All definitions and the keys that work."""
    st.markdown("\n".join(f"- **{name}**: {text}" for name, text in DEFINITIONS.items()))
    st.markdown("**Keys**: " + "; ".join(f"`{key}` {what}" for key, what in KEYS.items()) + ".")


def numbers(**shares: np.ndarray | None) -> None:
    """Acc_f and the like in one line, each before → after with its definition on hover. shares: [2], or None for a dash."""
    with st.container(horizontal=True, gap="medium", height=40, border=False):
        for name, pair in shares.items():
            said = "–" if pair is None else f"{_percent(pair[0])} → **{_percent(pair[1])}**"
            st.markdown(f"{name} {GOOD[name]} {said}", help=definition(name), width="content")


def _percent(share: float) -> str:
    return percent(share) if np.isfinite(share) else "–"


def spreads(found: Mapping[str, dict | None]) -> None:
    """Numbers over all classes that can be forgotten: mean ± std and the worst class, with the definition on hover.

    found: name -> what `wfviz.metrics.accuracy.spread` gives, or None where there is no picture.
    """
    with st.container(gap="xxsmall"):
        for name, values in found.items():
            said = "–" if values is None else (
                f"**{100 * values['mean']:.1f} ± {100 * values['std']:.1f} %**"
                + (f", worst: {plain(called(values['worst_class']))}, {percent(values['worst'])}" if percent(values["worst"]) != percent(values["mean"]) else ""))  # fmt: skip
            st.markdown(together(f"{name} {GOOD[name]} over all classes {said}"), help=definition(name))

"""The part of the training page's form that asks for a comparison of methods."""

from __future__ import annotations

import streamlit as st

from wfviz import methods
from wfviz.ui.widgets import number

ALWAYS = ("original", "retrain", "logit_mask")  # what every method is compared with
FIRST = ("wfnet", "random_labels", "salun")


def words(classes: tuple[str, ...]) -> tuple[list[str], str]:
    """The arguments of `compare` that the controls ask for, and why it cannot start, or nothing."""
    titles = {name: methods.get(name).title for name in methods.names() if name not in ALWAYS}
    chosen = st.multiselect(
        "Methods", list(titles), list(FIRST), key="methods", format_func=titles.get,
        help="The original, the network retrained without the class and logit masking are always there to compare with.",
    )  # fmt: skip
    forget = []
    if classes:
        names = dict(enumerate(classes))
        forget = st.multiselect("Classes", list(names), key="compared_classes", format_func=names.get, placeholder="all, one after the other")
    with st.container(horizontal=True):
        epochs = st.number_input("Epochs to retrain", 1, 10_000, None, key="retrain_epochs", placeholder="the backbone's recipe")
        relearn = number("Relearn at most", 0, 100, 100, "relearn", help="Epochs of 500 pictures after which relearning counts as never; 0 leaves it out.")
    found = ["--methods", ",".join([*ALWAYS, *chosen])]
    # by number, as names may hold commas; where numbers are names, by name: `compare` looks for these first
    found += ["--classes", ",".join(classes[c] if str(c) in classes else str(c) for c in forget)] if forget else []
    found += ["--set", f"retrain.epochs={epochs}"] if epochs else []
    found += ["--relearn", str(relearn)] if relearn != 100 else []
    return found, "" if chosen else "Choose at least one method."

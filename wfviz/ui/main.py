"""The script behind `app.py`: the list of pages, the frame around them, and the page that is open."""

from pathlib import Path

import streamlit as st

from wfviz.ui import warming

warming.wait()

from wfviz.ui import frame, saving, tour  # noqa: E402
from wfviz.ui.state import LINKS, current  # noqa: E402

PAGES = Path(__file__).resolve().parents[2] / "pages"
TOGETHER = ("Forget", "Before and after", "Attribution", "Train")  # pages for which several classes are no other question than one

st.set_page_config(page_title="wfviz", page_icon=frame.icon(), layout="wide", initial_sidebar_state=260)
pages = [
    st.Page(
        PAGES / "forget.py",
        title="Forget",
        icon=":material/filter_alt_off:",
        default=True,
        help="What changes when the network forgets a class: pictures, probabilities, accuracy.",
    ),
    st.Page(
        PAGES / "filters.py",
        title="Filters",
        icon=":material/hub:",
        help="Which filters hold which class: graph, matrix and table of the learned gates.",
    ),
    st.Page(
        PAGES / "before_after.py",
        title="Before and after",
        icon=":material/compare:",
        help="Confusion matrices before and after, their difference, and the pictures behind every cell.",
    ),
    st.Page(
        PAGES / "insertion_deletion.py",
        title="Curves",
        icon=":material/show_chart:",
        help="How many filters carry a class: the curves, played step by step beside their controls.",
    ),
    st.Page(
        PAGES / "where.py",
        title="Attribution",
        icon=":material/visibility:",
        help="Attributions of one picture before and after, at one scale, and how much they agree.",
    ),
    st.Page(
        PAGES / "compare.py",
        title="Compare",
        icon=":material/leaderboard:",
        help="Every other way to forget beside WF-Net: table, two methods side by side, prices.",
    ),
    st.Page(
        PAGES / "audit.py",
        title="Audit",
        icon=":material/policy:",
        help="Is it gone? Probe, relearning and attacks beside retraining and logit masking, with a verdict in words.",
    ),
    st.Page(
        PAGES / "train.py",
        title="Train",
        icon=":material/model_training:",
        help="Train a network that can forget, in the background, and watch it learn.",
    ),
]
page = st.navigation(pages, position="top")
st.session_state[LINKS] = {p.title: p for p in pages}
tour.meet(page.title)
saving.begin()
frame.ink()
ready = frame.show(page.title in TOGETHER)
if ready:
    tour.show(page.title, st.session_state[LINKS])
if ready or page.title == "Train":  # a first network can be trained where there is none
    page.run()
if ready:
    saving.foot(current(), page.title, page.title in TOGETHER)

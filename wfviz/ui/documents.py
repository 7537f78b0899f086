"""The documents that come with the code, readable beside the pages."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = {
    "Read me": ROOT / "README.md", "Results": ROOT / "RESULTS.md", "How untraining was tuned": ROOT / "docs" / "untraining.md",
}  # fmt: skip


def links() -> None:
    """A button for every document that is there; it opens above the page."""
    there = {title: path for title, path in DOCUMENTS.items() if path.is_file()}
    if not there:
        return
    st.markdown("**Documents**")
    with st.container(horizontal=True, gap="small"):
        for title, path in there.items():
            if st.button(title, type="tertiary", icon=":material/description:", key=f"document_{path.stem}"):
                _open(title, path)


@st.dialog("Document", width="large", icon=":material/description:")
def _open(title: str, path: Path) -> None:
    st.markdown(readable(path.read_text(encoding="utf-8")))


def readable(text: str) -> str:
    """Markdown as it reads without the files beside it: no pictures, and links into the folder as their words alone."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)

"""The documents that come with the code, readable above the pages."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = {"Read me": ROOT / "README.md", "Results": ROOT / "RESULTS.md", "How untraining was tuned": ROOT / "docs" / "untraining.md"}


def link() -> None:
    """The button that opens them, where they are there."""
    there = {title: path for title, path in DOCUMENTS.items() if path.is_file()}
    if there and st.button("Docs", type="tertiary", key="docs"):
        _open(there)


@st.dialog("Documents", width="large", icon=":material/description:")
def _open(there: dict[str, Path]) -> None:
    titles = list(there)
    picked = st.segmented_control("Document", titles, default=titles[0], required=True, key="document", label_visibility="collapsed")
    st.markdown(readable(there[picked].read_text(encoding="utf-8")))


def readable(text: str) -> str:
    """Markdown as it reads without the files beside it: no pictures, and links into the folder as their words alone."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)

"""What a person takes along: every figure of a page as PNG, SVG or HTML, and the report of the network."""

from __future__ import annotations

import html
import re
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from wfviz.errors import WfvizError
from wfviz.figures.style import called
from wfviz.ui import cached
from wfviz.ui.state import State
from wfviz.ui.words import sentence

if TYPE_CHECKING:
    import plotly.graph_objects as go

_KEY = "_wfviz_figures"  # of this run and this visitor: key of the chart -> (figure, its words)

NAMES = {
    "strip": "gates of all layers", "chances": "probabilities", "accuracy": "accuracy by class", "graph": "filters and classes",
    "matrix": "gates of a layer", "filter_card": "gates of a filter", "collateral": "what it costs the others", "curve": "curves",
    "cka": "likeness to the original", "cka_retrained": "likeness to the retrained network", "price_bytes": "price in storage",
    "price_time": "price in time", "recognised": "accuracy on the forgotten class", "inside": "probe by layer", "back": "relearning",
    "told": "attacks",
}  # what a figure is called, where its key does not say it

_HTML = '<div class="formats"><button type="button">PNG</button><button type="button">SVG</button><span role="status"></span></div>'

_CSS = """
.formats { display: flex; gap: 6px; align-items: center; padding: 2px; font-family: var(--st-font); font-size: 0.875rem; }
button { font: inherit; color: var(--st-text-color); cursor: pointer; padding: 5px 10px; background: transparent;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); }
button:hover { border-color: var(--st-primary-color); color: var(--st-link-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
span:empty { display: none; }
"""

# The picture is what the browser shows: its size, its colours, on the colour of the page.
_JS = """
export default function ({ data, parentElement }) {
  const said = parentElement.querySelector("span");
  for (const button of parentElement.querySelectorAll("button")) {
    const format = button.textContent.toLowerCase();
    button.setAttribute("aria-label", `${data.name} as ${button.textContent}`);
    button.onclick = async () => {
      const own = data.key.trim().replaceAll(/[^a-zA-Z0-9_-]/g, "-");  // as Streamlit writes keys into classes
      const plot = document.querySelector(`.st-key-${CSS.escape(own)} .js-plotly-plot`);
      if (!plot || !window.Plotly) { said.textContent = "not drawn here"; return; }
      const { backgroundColor: paper, color } = getComputedStyle(document.querySelector("[data-testid=stApp]"));
      const { width, height } = plot._fullLayout, font = { ...plot.layout.font, color };
      const figure = { data: plot.data, layout: { ...plot.layout, font, width, height, paper_bgcolor: paper } };
      said.textContent = "";
      try {
        const link = document.createElement("a");
        link.href = await window.Plotly.toImage(figure, { format, width, height, scale: format === "png" ? 3 : 1 });
        link.download = `${data.file}.${format}`;
        button.after(link);  // in here, for a click elsewhere closes the list
        link.click();
        link.remove();
      } catch (error) { said.textContent = "failed"; }
    };
  }
}
"""

_formats = st.components.v2.component("wfviz_formats", html=_HTML, css=_CSS, js=_JS)


def begin() -> None:
    """Before the page runs: no figure has been drawn yet."""
    st.session_state[_KEY] = {}


def remember(figure: go.Figure, alt: str, key: str) -> None:
    """`figure` stands on the page under `key`; `alt` are its words."""
    st.session_state.setdefault(_KEY, {})[key] = (figure, alt)


def foot(state: State, page: str, together: bool = True) -> None:
    """After the page: a quiet button that lists its figures. The list is made when it is opened.

    together: the page is about all forgotten classes at once, not about the first alone.
    """
    names = state.names if together or state.forgotten is None else called(state.forgotten)
    figures = st.session_state.get(_KEY, {})
    if not figures:
        return
    with st.popover("Save figures", icon=":material/download:", type="tertiary", key="save", on_change="rerun") as listed:
        if not listed.open:
            return
        st.caption("PNG and SVG as they look now; HTML with everything in it, to be opened offline.")
        for key, (figure, alt) in figures.items():
            name = name_of(key)
            file = file_name(state.network.slug, names and f"without {names}", page, name)
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(name, width=190)
                _formats(key=f"formats_{key}", data={"key": key, "file": file, "name": name}, width=130)
                st.download_button(
                    "HTML", partial(as_html, figure, f"{page}: {name}", alt), f"{file}.html", "text/html",
                    key=f"html_{key}", on_click="ignore", help=f"{name} as HTML",
                )  # fmt: skip


def report(state: State, key: str = "report", label: str = "Report") -> None:
    """A button that makes the report of the network, with the forgotten classes of `state` first; without an evaluation there is none."""
    missing = ""
    try:
        cached.evaluation(state.network)
    except WfvizError as error:
        missing = sentence(error)
    st.download_button(
        label, partial(_report, state.network.folder, state.together), f"{file_name(state.network.slug, 'report')}.html",
        "text/html", key=key, type="tertiary" if key == "report" else "secondary", on_click="ignore",
        disabled=bool(missing), help=missing or "Every number with its definition, controls, digests and commands: one HTML file, readable offline.",
    )  # fmt: skip


def _report(folder: str, forgotten: tuple[int, ...]) -> str:
    from wfviz.report import make_report

    return make_report(folder, forgotten)


def name_of(key: str) -> str:
    """The name of the figure that stands under `key`."""
    return NAMES.get(key, key.replace("_", " "))


def file_name(*parts: str) -> str:
    """`digits-cnn-without-3-accuracy`: words that every file system takes."""
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-.") for part in parts if part)[:120] or "figure"


def as_html(figure: go.Figure, title: str, alt: str) -> str:
    """One HTML document with the figure, its words and all it needs: it opens without a network, on white."""
    import plotly.io

    drawn = figure.to_dict()
    drawn["layout"] = {**drawn["layout"], "paper_bgcolor": "#FFFFFF"}
    body = plotly.io.to_html(
        drawn, config={"displaylogo": False, "responsive": True}, include_plotlyjs=True, full_html=False, auto_play=False, validate=False,
    )  # fmt: skip
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title></head>\n'
        '<body style="margin: 1rem auto; max-width: 62rem; background: #FFFFFF; color: #1F2328; font-family: system-ui, sans-serif">'
        f'<h1 style="font-size: 1.1rem">{html.escape(title)}</h1>\n'
        f'<div role="figure" aria-label="{html.escape(alt)}">{body}</div>\n<p>{html.escape(alt)}</p></body></html>\n'
    )

"""A grid of pictures that can be chosen by mouse, touch or keyboard, each with its label before and after."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import streamlit as st
from PIL import Image

THUMBNAIL = 160  # pixels at most; smaller pictures are enlarged by the browser, sharp-edged
LETTER, WIDEST = 7.5, 124  # pixels of a letter, and of a card that its label makes wider


@dataclass(frozen=True)
class Card:
    """One picture of the gallery. `after` is None where nothing is forgotten, `before` is empty where no label is wanted."""

    src: str
    title: str
    before: str
    after: str | None
    right: bool
    accent: bool = False


def picture_url(pixels: np.ndarray, most: int = THUMBNAIL) -> str:
    """A uint8 picture [channels, H, W] as a PNG data URL, at most `most` pixels wide or high."""
    planes = np.asarray(pixels)
    image = Image.fromarray(planes[0] if planes.shape[0] == 1 else np.moveaxis(planes, 0, -1))
    image.thumbnail((most, most))
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


_HTML = '<div class="grid" role="group"></div>'

_CSS = """
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(var(--least, 82px), 100%), 1fr)); gap: 10px;
  font-family: var(--st-font); color: var(--st-text-color); padding: 3px; }
button { all: unset; cursor: pointer; }
.grid > * { box-sizing: border-box; display: flex; flex-direction: column; gap: 4px;
  padding: 6px; border-radius: var(--st-base-radius); border: 1px solid var(--st-border-color); min-width: 0; }
button:hover { border-color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
button[aria-pressed="true"] { border-color: var(--st-primary-color); box-shadow: 0 0 0 1px var(--st-primary-color);
  background: var(--st-secondary-background-color); }
img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; border-radius: 4px;
  background: #000; display: block; }
img.smooth { image-rendering: auto; }
.label { display: flex; align-items: center; gap: 5px; font-size: 0.8rem; line-height: 1.25; min-height: 1.25em; }
.words { display: flex; flex-wrap: wrap; column-gap: 0.3em; min-width: 0; flex: 1; }
.was, .now { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 100%; }
.was { color: var(--st-gray-text-color); }
.now { font-weight: 600; }
.accent .now { color: var(--st-link-color); }
svg { width: 14px; height: 14px; flex: none; fill: none; stroke-width: 2.4; stroke-linecap: round; stroke-linejoin: round; }
.right svg { stroke: var(--st-green-text-color); }
.wrong svg { stroke: var(--st-red-text-color); }
"""

_JS = """
const TICK = "M3 8.5 L6.5 12 L13 4.5";
const CROSS = "M4 4 L12 12 M12 4 L4 12";

function mark(right) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", right ? TICK : CROSS);
  svg.appendChild(path);
  return svg;
}

function span(className, text) {
  const node = document.createElement("span");
  node.className = className;
  node.textContent = text;
  return node;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const grid = parentElement.querySelector(".grid");
  grid.setAttribute("aria-label", data.label);
  grid.style.setProperty("--least", data.least + "px");
  const buttons = JSON.parse(data.cards).map((card, i) => {
    const button = grid.children[i] ?? grid.appendChild(document.createElement(data.pickable ? "button" : "div"));
    const end = card.after ?? card.before;
    button.title = card.title;
    button.setAttribute("aria-label", card.title + (card.right ? ", right" : ", wrong"));
    button.className = (card.right ? "right" : "wrong") + (card.accent ? " accent" : "");
    const image = document.createElement("img");
    image.alt = "";
    image.src = card.src;
    image.className = data.smooth ? "smooth" : "";
    const label = document.createElement("span");
    label.className = "label";
    const words = span("words", "");
    if (card.after !== null) words.append(span("was", card.before + " \\u2192"));
    words.append(span("now", end));
    label.append(words, mark(card.right));
    button.replaceChildren(image, ...(card.before ? [label] : []));
    if (!data.pickable) {
      button.setAttribute("role", "img");
      return button;
    }
    button.type = "button";
    button.setAttribute("aria-pressed", String(data.selected === i));
    button.onclick = () => setTriggerValue("picked", { index: i, at: Date.now() });
    return button;
  });
  while (grid.children.length > buttons.length) grid.lastElementChild.remove();
}
"""

_component = st.components.v2.component("wfviz_gallery", html=_HTML, css=_CSS, js=_JS)


def gallery(
    cards: Sequence[Card], label: str, key: str, selected: int | None = None,
    smooth: bool = False, least: int = 82, on_pick: Callable[[int], None] | None = None,
) -> None:  # fmt: skip
    """Show `cards`, each at least `least` pixels wide and as long labels want it; `on_pick` is called with the position of the one clicked."""

    def picked() -> None:
        event = st.session_state[key].picked
        if on_pick and isinstance(event, dict) and isinstance(event.get("index"), int):
            if 0 <= event["index"] < len(cards):
                on_pick(event["index"])

    longest = max((len(word) for card in cards for word in (card.before, card.after or "")), default=0)
    least = max(least, min(LETTER * longest + 40, WIDEST))  # the arrow, the tick and the border stand beside the word
    looks = {"label": label, "selected": selected, "smooth": smooth, "least": least, "pickable": on_pick is not None}
    _component(key=key, data={"cards": json.dumps([asdict(c) for c in cards]), **looks}, on_picked_change=picked)

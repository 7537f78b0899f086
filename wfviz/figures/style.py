"""The one visual language of every figure: colours, scales, fonts and the bare layout.

Figures are drawn without a background and with middle tones, so that the same figure holds on a
light page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

from wfviz.figures.drawing import Drawing

if TYPE_CHECKING:
    import plotly.graph_objects as go

BEFORE = "#8A919C"  # the original network
AFTER = "#E2622A"  # the network that forgets, and the forgotten class everywhere
QUIET = "#8A919C"  # neither: what is there but not asked about
LINE = "rgba(128,134,144,0.35)"  # axes and borders

# Twelve colours after CARTO's "Safe", told apart with every common colour vision; its palest and
# darkest shades are moved towards the middle so that they hold on white and on black.
CLASS_COLORS = (
    "#5FA8D3", "#C4566B", "#B9A23A", "#2E8B57", "#6A5ACD", "#B65FB0",
    "#3DA394", "#8F8F2F", "#AD4479", "#96573F", "#5B86BD", "#7F8790",
)  # fmt: skip

# What a person may choose instead. Tol's "muted" (Paul Tol's notes, issue 3.2), moved to the middle in the same way; and
# one grey for all classes, so that colour means "forgotten" and nothing else.
PALETTES = {
    "safe": CLASS_COLORS,
    "tol muted": (
        "#CC6677", "#5E54B5", "#B3A24C", "#238B4A", "#4FA6CF", "#A83B76", "#44AA99", "#8C8C2B", "#B65CA6", "#7F8790",
    ),
    "greys": (QUIET,) * len(CLASS_COLORS),
}  # fmt: skip
DEFAULT = "safe"
_palette: ContextVar[str] = ContextVar("wfviz_palette", default=DEFAULT)

# Gates: closed is dark, open is pale.
GATE_SCALE = [[0.0, "#22123F"], [0.25, "#4A3585"], [0.5, "#7C6DB3"], [0.75, "#B3ABD3"], [1.0, "#E4E1EC"]]

# Shares of pictures from 0 to 1; nothing is transparent, and small shares are lifted.
SHARE_SCALE = [
    [0.0, "rgba(46,125,143,0.0)"], [0.002, "rgba(46,125,143,0.10)"], [0.02, "rgba(46,125,143,0.28)"],
    [0.1, "rgba(46,125,143,0.48)"], [0.4, "rgba(36,110,130,0.78)"], [1.0, "rgba(22,92,114,1.0)"],
]  # fmt: skip

# Changes from -1 to 1, centred on 0: losses warm, gains blue, nothing transparent; small changes are lifted.
CHANGE_SCALE = [
    [0.0, "rgba(166,54,17,1.0)"], [0.25, "rgba(203,84,32,0.85)"], [0.44, "rgba(226,98,42,0.50)"],
    [0.49, "rgba(226,98,42,0.22)"], [0.5, "rgba(128,128,128,0.0)"], [0.51, "rgba(48,112,184,0.22)"],
    [0.56, "rgba(48,112,184,0.50)"], [0.75, "rgba(38,96,168,0.85)"], [1.0, "rgba(20,66,128,1.0)"],
]  # fmt: skip

INK = "#000037"  # text: nearly black, which Streamlit replaces by the text colour of a dark theme
TEXT = "#7D8590"  # quiet text, on white and on black
ON_DARK = "#FFFFFF"  # on a filled cell


def use_palette(name: str) -> None:
    """Colour classes by one of `PALETTES` in this thread, until it is told otherwise; other threads are not touched."""
    if name not in PALETTES:
        raise KeyError(name)
    _palette.set(name)


def several(forgotten: int | Sequence[int] | None) -> tuple[int, ...]:
    """The forgotten classes, from one index, from several, or from None."""
    if forgotten is None:
        return ()
    return tuple(forgotten) if isinstance(forgotten, Sequence) else (int(forgotten),)


def class_color(index: int, n_classes: int, forgotten: int | Sequence[int] | None = None) -> str:
    """The fixed colour of a class; the accent if it is forgotten, grey where there are more classes than colours."""
    colors = PALETTES[_palette.get()]
    if index in several(forgotten):
        return AFTER
    return colors[index] if n_classes <= len(colors) else QUIET


def bare(drawing: Drawing, height: int, **layout) -> go.Figure:
    """The figure drawn, with the common layout: fixed height in pixels, no background, no dragging, small margins."""
    settings = {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
        "showlegend": False,
        "hoverlabel": {"align": "left"},
        "font": {"color": INK},
        "uirevision": "fixed",
    }
    settings |= layout
    settings["margin"] = {**settings["margin"], "pad": 0}
    drawing.update_layout(**settings)
    return drawing.figure()


def percent(share: float) -> str:
    """0.9731 as `97.3 %`."""
    return f"{100 * float(share):.1f} %"


def points(change: float) -> str:
    """A change of a share in percentage points, with its sign: -0.009 as `−0.9`."""
    text = f"{100 * float(change):+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 picture`, `1,000 pictures`."""
    return f"{int(number):,} {one if number == 1 else many or one + 's'}"


def called(name: object) -> str:
    """The name of a class in a sentence: `cat`, but `“3”`, since a bare number would read as an amount."""
    text = str(name)
    return text if any(ch.isalpha() for ch in text) else f"“{text}”"


def label(name: object, most: int = 20) -> str:
    """The name of a class in a figure: at most `most` characters, and never read as markup."""
    text = str(name)
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def join(names: Sequence[str]) -> str:
    """`cat`, `cat and dog`, `cat, dog and deer`; names that hold a comma themselves are kept apart by semicolons."""
    names = [str(n) for n in names]
    if any("," in name for name in names):
        return "; ".join(names)
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""

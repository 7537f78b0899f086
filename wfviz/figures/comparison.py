"""Methods beside each other: a number by layer, maps of features on the same axes, and what forgetting costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from wfviz.figures import style
from wfviz.figures.drawing import Drawing

SECOND = "#6A5ACD"  # the method beside the one in the accent
RETRAINED = "#2E8B9E"
MASKED = "#B9A23A"
LOOKS = {  # by part: colour, dash, width
    "first": (style.AFTER, "solid", 3.0), "second": (SECOND, "solid", 2.4), "original": (style.BEFORE, "solid", 2.0),
    "retrain": (RETRAINED, "dash", 2.2), "logit_mask": (MASKED, "dot", 2.4),
}  # fmt: skip
LEGEND = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left", "itemclick": False, "itemdoubleclick": False}
SHARES = {"tickvals": [0, 50, 100], "ticktext": ["0 %", "50 %", "100 %"]}
MAP_HEIGHT, MAP_WIDTH = 300, 250  # px; the width is the least that a map has
LETTER, LINE_HEIGHT = 7.5, 15  # px of the bold names in a map


@dataclass(frozen=True)
class Trace:
    """One line of a figure. part: key of `LOOKS`; values: [N], nan where there is none."""

    part: str
    name: str
    values: np.ndarray


def layer_figure(layers: Sequence[str], traces: Sequence[Trace], percent: bool = False, height: int = 280) -> go.Figure:
    """Values in [0, 1] by layer, a line for every trace; `percent` where they are shares."""
    figure, names = Drawing(), [style.label(layer, 16) for layer in layers]
    factor = 100 if percent else 1
    for trace in traces:
        color, dash, width = LOOKS[trace.part]
        figure.add_scatter(
            x=list(range(len(layers))), y=_plain(factor * np.asarray(trace.values)), mode="lines+markers", name=style.label(trace.name, 32),
            line={"color": color, "dash": dash, "width": width}, marker={"color": color, "size": 7}, customdata=names,
            hovertemplate=f"{style.label(trace.name, 32)}, %{{customdata}}: %{{y:.{1 if percent else 2}f}}{' %' if percent else ''}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(
        tickvals=list(range(len(layers))), ticktext=names, fixedrange=True, showgrid=False, linecolor=style.LINE,
        range=[-0.2, len(layers) - 0.8], tickangle=-35 if sum(map(len, names)) > 42 else 0,
    )  # fmt: skip
    ends = {"range": [-3, 104], **SHARES} if percent else {"range": [-0.03, 1.04], "tickvals": [0, 0.5, 1]}
    figure.update_yaxes(fixedrange=True, gridcolor=style.LINE, gridwidth=0.5, zeroline=False, **ends)
    return style.bare(figure, height, showlegend=True, legend=LEGEND, margin={"l": 46, "r": 8, "t": 52, "b": 30})


def map_ends(maps: Sequence[dict]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Axes on which all maps fit: ((x from, to), (y from, to))."""
    ends = []
    for axis in ("x", "y"):
        values = np.concatenate([np.asarray(one[axis], dtype=float) for one in maps])
        low, high = float(values.min()), float(values.max())
        room = 0.06 * (high - low) or 1.0
        ends.append((low - room, high + room))
    return ends[0], ends[1]


def map_figure(points: dict, classes: Sequence[str], forgotten: int | None, ends: tuple) -> go.Figure:
    """Test pictures by what their features are. points: {"labels", "x", "y"}: [N]; ends: from `map_ends`.

    The forgotten class is drawn last, larger and in the accent.
    """
    figure = Drawing()
    labels, x, y = (np.asarray(points[key]) for key in ("labels", "x", "y"))
    shown = [int(c) for c in np.unique(labels)]
    for c in sorted(shown, key=lambda c: c == forgotten):
        own = labels == c
        figure.add_scatter(
            x=x[own].tolist(), y=y[own].tolist(), mode="markers", name=style.label(classes[c]),
            marker={"color": style.class_color(c, len(classes), forgotten), "size": 10 if c == forgotten else 6,
                    "opacity": 0.95 if c == forgotten else 0.55, "symbol": "diamond" if c == forgotten else "circle"},
            hovertemplate=f"{style.label(classes[c])}<extra></extra>",
        )  # fmt: skip
    if len(shown) <= 12:
        names = [style.label(classes[c], 12) for c in shown]
        places = np.array([[np.median(x[labels == c]), np.median(y[labels == c])] for c in shown])
        for name, (across, up), shift in zip(names, places.tolist(), apart(places, names, ends), strict=True):
            figure.add_annotation(
                x=across, y=up, yshift=shift, text=f"<b>{name}</b>", showarrow=False, font={"size": 13, "color": style.INK},
            )  # fmt: skip
    frame = {"fixedrange": True, "showgrid": False, "zeroline": False, "showticklabels": False, "ticks": "", "showline": True,
             "mirror": True, "linecolor": style.LINE, "linewidth": 1}  # fmt: skip
    figure.update_xaxes(range=list(ends[0]), **frame)
    figure.update_yaxes(range=list(ends[1]), **frame)
    return style.bare(figure, MAP_HEIGHT, margin={"l": 4, "r": 4, "t": 4, "b": 4})


def apart(places: np.ndarray, names: Sequence[str], ends: tuple) -> list[int]:
    """Pixels by which each name goes up (below 0: down), so that no two in a map lie on each other; from the top one on.

    places: [N, 2] in the units of the axes; ends: from `map_ends`.
    """
    low, high = np.array(ends, dtype=float).T
    middle = (places - low) / (high - low) * (MAP_WIDTH, MAP_HEIGHT)
    half = [LETTER * len(name) / 2 for name in names]
    shifts, done = [0] * len(names), []
    for i in sorted(range(len(names)), key=lambda i: -middle[i, 1]):
        while any(abs(middle[i, 0] - middle[j, 0]) < half[i] + half[j] and abs(middle[i, 1] + shifts[i] - middle[j, 1] - shifts[j]) < LINE_HEIGHT for j in done):
            shifts[i] -= 1
        done.append(i)
    return shifts


def price_figure(
    titles: Sequence[str], values: np.ndarray, numbers: Sequence[int], parts: Sequence[str], texts: Sequence[Sequence[str]],
    ticks: Mapping[float, str],
) -> go.Figure:
    """What one class and all classes cost, a line between them for every method, on a logarithmic axis.

    values: [M, K] > 0, or 0 and nan for what costs nothing or was not measured; numbers: of classes, [K];
    parts: key of `LOOKS` for every method, or "" for grey; texts: the values as they are written, [M][K]; ticks: values to mark, and how.
    """
    figure = Drawing()
    least = _least(values)
    for row, (title, part) in enumerate(zip(titles, parts, strict=True)):
        color = LOOKS[part][0] if part else style.QUIET
        x = [max(float(v), least) if np.isfinite(v) else None for v in values[row]]
        figure.add_scatter(
            x=x, y=[row] * len(x), mode="lines+markers", line={"color": color, "width": 3 if part == "first" else 2},
            marker={"color": color, "size": [7 + 3 * k for k in range(len(x))]}, name=style.label(title, 32),
            customdata=[[style.label(title, 40), text, _classes(k)] for text, k in zip(texts[row], numbers, strict=True)],
            hovertemplate="%{customdata[0]}, %{customdata[2]}: %{customdata[1]}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(titles))), ticktext=[style.label(t, 26) for t in titles], range=[len(titles) - 0.5, -0.5],
        fixedrange=True, gridcolor=style.LINE, gridwidth=0.5, zeroline=False,
    )  # fmt: skip
    figure.update_xaxes(
        type="log", fixedrange=True, gridcolor=style.LINE, gridwidth=0.5, zeroline=False, tickangle=0,
        tickvals=list(ticks), ticktext=list(ticks.values()),
    )  # fmt: skip
    return style.bare(figure, 60 + 26 * max(len(titles), 4), margin={"l": 8, "r": 14, "t": 6, "b": 26})


def _least(values: np.ndarray) -> float:
    """Where nothing is drawn: a little below the smallest price."""
    there = values[np.isfinite(values) & (values > 0)]
    return float(there.min()) / 3 if there.size else 1.0


def _classes(number: int) -> str:
    return "one class" if number == 1 else f"{number:,} classes"


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]

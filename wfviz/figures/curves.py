"""Insertion and deletion curves that draw themselves over the row of gates that fills or empties, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from wfviz.figures import style
from wfviz.figures.drawing import Drawing
from wfviz.figures.strip import GAP, short_names

HALF = 0.5  # of the original confidence: where the sentence looks
HEIGHT = 470  # in pixels
MOST_BARS = 2000  # of the row of gates; neighbours are averaged beyond it
LOOKS = {
    "gates": (style.AFTER, "solid", 3.2),
    "random": (style.BEFORE, "solid", 2.0),
    "weight norm": ("#5B86BD", "dash", 2.0),
    "activation": ("#3DA394", "dot", 2.2),
}  # by order: colour, dash, width
NAMES = {"gates": "most closed first", "random": "random", "weight norm": "largest weights first", "activation": "most active first"}
IDEAL = {"insertion": 1, "deletion": 0}
BETTER = {"insertion": "higher is better ↑, ideal 1", "deletion": "lower is better ↓, ideal 0"}
_DONE = {"insertion": "opened again", "deletion": "closed"}
_MOVE = {"insertion": "Opening", "deletion": "Closing"}


def of_class(values: Mapping[str, np.ndarray], index: int | None) -> dict[str, np.ndarray]:
    """By order the runs of one class, or their mean over all classes: [R, S] from [R, C, S]. Gaps are left out."""
    if index is not None:
        return {order: runs[:, index] for order, runs in values.items()}
    measured = {order: runs[:, np.isfinite(runs).all(axis=(0, 2))] for order, runs in values.items()}
    return {order: runs.mean(1) if runs.shape[1] else np.full(runs.shape[::2], np.nan) for order, runs in measured.items()}


def area(run: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Area under every run [R] by the trapezoid rule."""
    return np.trapezoid(run, fractions, axis=-1)


def crossing(run: np.ndarray, mode: str) -> int | None:
    """The first step of [S] at which half of the confidence is back (insertion) or gone (deletion)."""
    reached = run >= HALF if mode == "insertion" else run <= HALF
    return int(reached.argmax()) if reached.any() else None


def carrying(
    name: str | None, fractions: np.ndarray, runs: Mapping[str, np.ndarray], counts: np.ndarray, mode: str
) -> str:
    """The answer in words. name: of the class, None for the mean; runs: by order [R, S]; counts: filters moved, [S]."""
    own = runs["gates"].mean(0)
    if not np.isfinite(own).all():
        return f"There was no picture{f' of {name}' if name else ''} to measure the curves on."
    total, step = int(counts[-1]), crossing(own, mode)
    whose = f"closed furthest for {name}" if name else "closed furthest for a class"
    area_words = f"the area under the curve is {area(own, fractions):.2f} (ideal {IDEAL[mode]}"
    if "random" in runs:
        area_words += f", at random {area(runs['random'], fractions).mean():.2f}"
    area_words += ")"
    if step is None:
        missing = "never takes half of the confidence away" if mode == "deletion" else "never brings half of the confidence back"
        return f"{_MOVE[mode]} the filters that are {whose} {missing}; {area_words}."
    if step == 0:
        left = f"With all the gates of {name or 'a class'} applied, {style.percent(own[0])} of the confidence is still there"
        return f"{left}, so that no filter has to be opened to have half of it; {area_words}."
    moved = f"{int(counts[step]):,} of {total:,} filters, those {whose},"
    random = crossing(runs["random"].mean(0), mode) if "random" in runs else None
    effect = f"brings {style.percent(own[step])} of the confidence back" if mode == "insertion" else f"leaves {style.percent(own[step])} of the confidence"
    control = f"; in random order half of it {'is back' if mode == 'insertion' else 'is gone'} after {int(counts[random]):,}" if random is not None else ""
    start = _MOVE[mode] if name else f"On average over the classes, {_MOVE[mode].lower()}"
    return f"{start} {moved} {effect}{control}. T{area_words[1:]}.{_beaten(runs, fractions, mode)}"


def _beaten(runs: Mapping[str, np.ndarray], fractions: np.ndarray, mode: str) -> str:
    """The controls that do as well as the gates or better; empty where there is none."""
    areas = {order: float(area(run, fractions).mean()) * (1 if mode == "insertion" else -1) for order, run in runs.items()}
    better = [f"“{NAMES[order]}” ({abs(value):.2f})" for order, value in areas.items() if order != "gates" and value >= areas["gates"]]
    return f" {style.join(better)} {'does' if len(better) == 1 else 'do'} as well or better." if better else ""


def step_words(fractions: np.ndarray, run: np.ndarray, counts: np.ndarray, mode: str) -> list[str]:
    """Every step in words. run: mean confidence over the original's, [S]."""
    return [
        f"{int(n):,} of {int(counts[-1]):,} filters {_DONE[mode]} ({style.percent(f)}): confidence {style.percent(v)} of the original"
        for f, n, v in zip(fractions, counts, run, strict=True)
    ]


def area_words(runs: Mapping[str, np.ndarray], fractions: np.ndarray) -> list[dict[str, str]]:
    """The legend: name, colour, dash and area (mean ± std over seeds) of every order."""
    rows = []
    for order, run in runs.items():
        areas = area(run, fractions)
        spread = f" ± {areas.std():.2f}" if len(areas) > 1 else ""
        color, dash, _ = LOOKS[order]
        rows.append({"name": NAMES[order], "color": color, "dash": dash, "area": f"{areas.mean():.2f}{spread}"})
    return rows


def curves_figure(
    fractions: np.ndarray, runs: Mapping[str, np.ndarray], rows: Mapping[str, np.ndarray], mode: str, step: int = 0
) -> go.Figure:
    """The curves above the row of gates, with one frame for every step, named by its number.

    fractions: [S]; runs: by order [R, S]; rows: layer name -> gates [S, F] in [0, 1]. The figure stands at `step`.
    """
    figure = Drawing()
    x = np.round(100 * np.asarray(fractions, dtype=np.float64), 3)
    means = {order: 100 * run.mean(0) for order, run in runs.items()}
    if "random" in runs and len(runs["random"]) > 1:
        low, high = 100 * runs["random"].min(0), 100 * runs["random"].max(0)
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), mode="lines", fill="toself",
            fillcolor="rgba(138,145,156,0.18)", line={"width": 0}, hoverinfo="skip",
        )  # fmt: skip
    for order, y in means.items():
        color, dash, width = LOOKS[order]
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": color, "width": min(width, 1.4), "dash": dash}, opacity=0.55,
            hovertemplate=f"{NAMES[order]}: %{{y:.1f}} % of the confidence<br>at %{{x}} % of the filters<extra></extra>",
        )  # fmt: skip
    first = len(figure.data)
    z, edges, labels = _bars(rows)
    moving = [_moment(x, means, z, s) for s in range(len(x))]
    for order in means:
        color, dash, width = LOOKS[order]
        figure.add_scatter(mode="lines", line={"color": color, "width": width, "dash": dash}, hoverinfo="skip")
    figure.add_scatter(
        mode="markers", marker={"color": [LOOKS[order][0] for order in means], "size": 9, "line": {"width": 0}}, hoverinfo="skip"
    )
    figure.add_heatmap(
        x=edges, y=[0, 1], zmin=0, zmax=1, colorscale=style.GATE_SCALE, showscale=False, hoverinfo="skip", xaxis="x2", yaxis="y2"
    )
    for trace, values in zip(figure.data[first:], moving[step], strict=True):
        trace.update(values)
    figure.add_frames(moving, range(first, len(figure.data)))
    _axes(figure, mode, float(np.nanmax([100, *(m.max() for m in means.values())])), labels)
    return style.bare(figure, HEIGHT, margin={"l": 52, "r": 12, "t": 8, "b": 8})


def _moment(x: np.ndarray, means: Mapping[str, np.ndarray], z: np.ndarray, step: int) -> list[dict]:
    """What changes from frame to frame: the curves so far, their heads, and the row of gates."""
    kind = {"type": "scatter"}
    so_far = [{**kind, "x": x[: step + 1], "y": y[: step + 1]} for y in means.values()]
    heads = {**kind, "x": np.full(len(means), x[step]), "y": np.array([y[step] for y in means.values()])}
    return [*so_far, heads, {"type": "heatmap", "z": z[step][None]}]


def _bars(rows: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, list[tuple[float, str]]]:
    """Layers side by side: z float32 [S, bars] (nan between layers), the edges of the bars, (place, name) of labels."""
    total = sum(gates.shape[1] for gates in rows.values())
    pooled = {name: _pooled(gates, total) for name, gates in rows.items()}
    widths = np.sqrt([gates.shape[1] for gates in rows.values()])
    widths = widths / widths.sum() * (1 - GAP * (len(rows) - 1))
    parts, edges, labels, start, short = [], [], [], 0.0, short_names(list(rows))
    for (name, gates), width in zip(pooled.items(), widths, strict=True):
        if parts:
            parts.append(np.full((len(gates), 1), np.nan, np.float32))
        parts.append(gates)
        edges.append(np.linspace(start, start + width, gates.shape[1] + 1))
        text = next((t for t in (name, short[name]) if width > 0.018 * len(t)), None)
        labels += [(start, text)] if text else []
        start += width + GAP
    return np.concatenate(parts, axis=1), np.concatenate(edges), labels


def _pooled(gates: np.ndarray, total: int) -> np.ndarray:
    """float32 [S, bars]: all the gates of a layer, or the means of neighbours where there are too many."""
    gates = np.round(np.asarray(gates, dtype=np.float32), 3)
    if total <= MOST_BARS:
        return gates
    groups = np.array_split(gates, max(1, round(gates.shape[1] * MOST_BARS / total)), axis=1)
    return np.stack([group.mean(1) for group in groups], axis=1)


def _axes(figure: Drawing, mode: str, top: float, labels: Sequence[tuple[float, str]]) -> None:
    share = [0, 25, 50, 75, 100]
    percent = [f"{v} %" for v in share]
    frame = {"fixedrange": True, "zeroline": False, "gridcolor": style.LINE, "gridwidth": 0.5}
    figure.update_layout(
        xaxis={"range": [-0.6, 101.5], "tickvals": share, "ticktext": percent, "showgrid": False, "linecolor": style.LINE, "anchor": "y",
               "title": {"text": f"share of the filters of every layer {_DONE[mode]}", "standoff": 6}, **{k: v for k, v in frame.items() if k != "gridcolor"}},
        yaxis={"range": [-2, top * 1.04], "tickvals": share, "ticktext": percent, "domain": [0.31, 1],
               "title": {"text": "confidence, share of the original's", "standoff": 8}, **frame},
        xaxis2={"range": [0, 1], "visible": False, "fixedrange": True, "anchor": "y2"},
        yaxis2={"range": [-1, 1], "visible": False, "fixedrange": True, "domain": [0, 0.16], "anchor": "x2"},
    )  # fmt: skip
    for place, text in labels:
        figure.add_annotation(
            x=place, y=-0.1, xref="x2", yref="y2", text=text, xanchor="left", yanchor="top", showarrow=False,
            font={"size": 11, "color": style.TEXT},
        )  # fmt: skip


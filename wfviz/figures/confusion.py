"""Confusion matrices and what forgetting one class costs the others.

Heat maps cannot be clicked in every viewer, so each carries a layer of invisible markers at the
centres of its cells; their customdata is [row, column].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from wfviz.figures import style
from wfviz.figures.drawing import Drawing

MOST_NUMBERS = 12  # classes up to which every cell shows its number
MOST_TARGETS = 25  # classes up to which every cell can be clicked
MOST_MARKERS = 600  # beyond that only so many cells, the largest ones; the others tell their number alone


def shares(confusion: np.ndarray) -> np.ndarray:
    """Counts [C, C] as shares of the true class (rows sum to 1, or to 0 without pictures)."""
    totals = confusion.sum(axis=1, keepdims=True)
    return confusion / np.maximum(totals, 1)


def confusion_figure(
    values: np.ndarray,
    counts: np.ndarray,
    classes: Sequence[str],
    change: bool = False,
    forgotten: int | Sequence[int] | None = None,
    cell: tuple[int, int] | None = None,
) -> go.Figure:
    """One matrix, row = true class, column = predicted.

    values: [C, C], shares in [0, 1], or changes of shares in [-1, 1] if `change`; counts: [C, C] pictures,
    or their change. `cell` is framed.
    """
    names = [style.label(c) for c in classes]
    figure = _matrix(values, names, change, forgotten, "{0} taken for {1}: {2}")
    kind = "%{customdata[3]} more" if change else "%{customdata[3]}"
    hover = f"%{{customdata[4]}} taken for %{{customdata[5]}}: %{{customdata[2]}}<br>{kind} pictures<extra></extra>"
    _targets(figure, values, counts, names, change, hover)
    if cell is not None:
        _frame(figure, *cell)
    return style.bare(figure, 320, clickmode="event+select", margin={"l": 8, "r": 4, "t": 4, "b": 8})


def collateral_figure(change: np.ndarray, classes: Sequence[str], forgotten: int | Sequence[int] | None = None) -> go.Figure:
    """Change of the accuracy of every class (column) when a class (row) is forgotten: [C, C] in [-1, 1]."""
    names = [style.label(c) for c in classes]
    figure = _matrix(change, names, True, forgotten, "forgetting {0}: accuracy of {1} {2} points")
    hover = "forgetting %{customdata[4]}: accuracy of %{customdata[5]} %{customdata[2]} points<extra></extra>"
    _targets(figure, change, np.zeros(change.shape, dtype=int), names, True, hover)
    for row in style.several(forgotten):
        figure.add_shape(
            type="rect", x0=-0.5, x1=len(classes) - 0.5, y0=row - 0.5, y1=row + 0.5,
            line={"color": style.AFTER, "width": 2},
        )  # fmt: skip
    figure.update_xaxes(title={"text": "change of the accuracy of", "standoff": 6})
    figure.update_yaxes(title={"text": "forgotten class", "standoff": 18})
    return style.bare(figure, 440, clickmode="event+select", margin={"l": 8, "r": 8, "t": 8, "b": 8})


def _matrix(values, names, change, forgotten, words):
    """The heat map. With many classes its cells speak themselves: `words` names one, {0} its row, {1} its column, {2} its number."""
    say = style.points if change else style.percent
    said = [[words.format(a, b, say(v) if np.isfinite(v) else "–") for b, v in zip(names, row, strict=True)] for a, row in zip(names, values, strict=True)]
    step, gap = max(1, -(-len(names) // 25)), 1 if len(names) <= 40 else 0
    figure = Drawing()
    figure.add_heatmap(
        z=np.asarray(values, dtype=np.float32),
        x=np.arange(len(names)),
        y=np.arange(len(names)),
        zmin=-1 if change else 0,
        zmax=1,
        colorscale=style.CHANGE_SCALE if change else style.SHARE_SCALE,
        showscale=False,
        xgap=gap,
        ygap=gap,
        customdata=said if len(names) > MOST_TARGETS else None,
        hovertemplate="%{customdata}<extra></extra>" if len(names) > MOST_TARGETS else None,
        hoverinfo="skip" if len(names) <= MOST_TARGETS else None,
    )
    marked = style.several(forgotten)
    ticks = sorted({*marked, *(i for i in range(0, len(names), step) if all(abs(i - c) >= step for c in marked))})
    frame = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": "", "autorange": False,
             "showline": True, "mirror": True, "linecolor": style.LINE, "linewidth": 1, "tickvals": list(ticks)}  # fmt: skip
    figure.update_xaxes(
        ticktext=[names[i] for i in ticks],
        range=[-0.5, len(names) - 0.5],
        tickangle=0 if max(map(len, names)) <= 3 else -45,
        **frame,
    )
    bold = [f"<b>{names[i]}</b>" if i in marked else names[i] for i in ticks]
    figure.update_yaxes(ticktext=bold, range=[len(names) - 0.5, -0.5], **frame)
    return figure


def _targets(figure, values, counts, names, change, hover):
    """Numbers in the cells and the invisible markers that are hovered and clicked."""
    n = len(names)
    if n > MOST_TARGETS:
        largest = np.argsort(-np.abs(np.nan_to_num(values)), axis=None, kind="stable")[:MOST_MARKERS]
        cells = [divmod(int(k), n) for k in largest]
    else:
        cells = [(i, j) for i in range(n) for j in range(n)]
    cells = [cell for cell in cells if np.isfinite(values[cell])]  # of a class without pictures there is nothing to say
    say = style.points if change else style.percent
    strong = [abs(float(values[i, j])) >= (0.45 if change else 0.5) for i, j in cells]
    for filled in (False, True):
        group = [cell for cell, full in zip(cells, strong, strict=True) if full == filled]
        numbers = [cell_text(float(values[i, j])) for i, j in group] if n <= MOST_NUMBERS else None
        figure.add_scatter(
            x=[j for _, j in group],
            y=[i for i, _ in group],
            mode="markers+text" if numbers else "markers",
            text=numbers,
            textposition="middle center",
            textfont={"size": 10, "color": style.ON_DARK if filled else style.INK},
            marker={"symbol": "square", "size": max(6, min(26, 300 // n)), "opacity": 0.0, "color": style.QUIET},
            selected={"marker": {"opacity": 0.0}},
            unselected={"marker": {"opacity": 0.0}},
            customdata=[[i, j, say(values[i, j]), int(counts[i, j]), names[i], names[j]] for i, j in group],
            hovertemplate=hover,
        )


def cell_text(value: float) -> str:
    """The number in a cell: nothing for nothing, whole percent from ten up, one decimal below."""
    shown = 100 * value
    if np.isnan(shown) or abs(shown) < 0.05:
        return ""
    text = f"{shown:.0f}" if abs(shown) >= 9.95 else f"{shown:.1f}"
    return text.replace("-", "−")


def _frame(figure, row, column):
    figure.add_shape(
        type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5,
        line={"color": style.AFTER, "width": 2.5},
    )  # fmt: skip

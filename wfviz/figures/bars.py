"""Paired bars, before in grey and after in the accent: accuracy by class and probabilities of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from wfviz.figures import style
from wfviz.figures.drawing import Drawing

MOST_PAIRS = 20  # classes drawn at once; the rest stands in the table


def shown_classes(before: np.ndarray, after: np.ndarray, forgotten: int | Sequence[int] | None) -> list[int]:
    """The classes to draw: the forgotten ones first, then all in order, or the most changed ones if many."""
    first = list(style.several(forgotten))[: MOST_PAIRS - 1]
    rest = [c for c in range(len(before)) if c not in style.several(forgotten)]
    if len(before) > MOST_PAIRS:
        rest = sorted(rest, key=lambda c: -np.nan_to_num(abs(float(after[c] - before[c]))))[: MOST_PAIRS - len(first)]
    return first + rest


def accuracy_bars(
    classes: Sequence[str], before: np.ndarray, after: np.ndarray, counts: np.ndarray,
    forgotten: int | Sequence[int] | None, changed: str | None = None,
) -> go.Figure:
    """Accuracy of every class, before and after. before, after: [C] in [0, 1]; counts: pictures, [C].

    `changed` names what was done instead where no class is forgotten.
    """
    several = style.several(forgotten)
    shown = shown_classes(before, after, forgotten)
    names = [style.label(classes[c]) for c in shown]
    figure = Drawing()
    pairs = [("before", before, style.BEFORE)]
    if several and changed is None:
        gone = style.join([style.label(classes[c]) for c in several]) if len(several) <= 3 else f"{len(several)} classes"
        changed = f"{gone} forgotten"
    if changed is not None:
        pairs.append((changed, after, style.AFTER))
    for name, values, color in pairs:
        figure.add_bar(
            x=list(range(len(shown))),
            y=[100 * float(values[c]) for c in shown],
            name=name,
            marker={"color": color},
            text=["" if np.isnan(values[c]) else f"{100 * float(values[c]):.1f}" for c in shown] if len(shown) <= 12 else None,
            textposition="outside",
            textfont={"size": 11},
            textangle=0,
            cliponaxis=False,
            customdata=[[style.label(classes[c]), int(counts[c])] for c in shown],
            hovertemplate="%{customdata[0]}, " + name + ": %{y:.1f} % of %{customdata[1]:,}<extra></extra>",
        )
    bold = [f"<b>{n}</b>" if c in several else n for n, c in zip(names, shown, strict=True)]
    figure.update_xaxes(
        tickvals=list(range(len(shown))), ticktext=bold, fixedrange=True, showgrid=False,
        linecolor=style.LINE, tickangle=-45 if sum(map(len, names)) > 90 else 0, automargin=True,
    )  # fmt: skip
    figure.update_yaxes(
        range=[0, 109], tickvals=[0, 50, 100], ticktext=["0 %", "50 %", "100 %"], fixedrange=True, gridcolor=style.LINE,
        gridwidth=0.5, zeroline=False,
    )  # fmt: skip
    legend = {"orientation": "h", "y": 1.12, "x": 0, "xanchor": "left"}
    return style.bare(
        figure, 320, uniformtext={"minsize": 9, "mode": "hide"}, barmode="group", bargap=0.28, bargroupgap=0.06,
        showlegend=True, legend=legend,
        margin={"l": 48, "r": 8, "t": 36, "b": 40},
    )  # fmt: skip


def probability_classes(before: np.ndarray, after: np.ndarray | None, most: int = 10) -> list[int]:
    """The classes to draw for one picture: all in order, or the likeliest before and after if many."""
    if len(before) <= 12:
        return list(range(len(before)))
    height = before if after is None else np.maximum(before, after)
    return sorted(range(len(before)), key=lambda c: -float(height[c]))[:most]


def probability_bars(
    classes: Sequence[str], before: np.ndarray, after: np.ndarray | None, forgotten: int | Sequence[int] | None
) -> go.Figure:
    """Probabilities of one picture, before and, if a class is forgotten, after. before, after: [C], each sums to 1."""
    several = style.several(forgotten)
    shown = probability_classes(before, after)[::-1]  # plotly draws the first at the bottom
    figure = Drawing()
    pairs = [("before", before, style.BEFORE)] if after is None else [
        ("after", after, style.AFTER), ("before", before, style.BEFORE)]  # fmt: skip
    for name, values, color in pairs:
        figure.add_bar(
            y=list(range(len(shown))),
            x=[100 * float(values[c]) for c in shown],
            orientation="h",
            name=name,
            marker={"color": color},
            text=[f"{100 * float(values[c]):.1f}" if values[c] >= 0.0005 else "" for c in shown],
            textposition="outside",
            textfont={"size": 11},
            cliponaxis=False,
            customdata=[style.label(classes[c]) for c in shown],
            hovertemplate="%{customdata}, " + name + ": %{x:.1f} %<extra></extra>",
        )
    names = [f"<b>{style.label(classes[c])}</b>" if c in several else style.label(classes[c]) for c in shown]
    figure.update_yaxes(tickvals=list(range(len(shown))), ticktext=names, fixedrange=True, showgrid=False)
    figure.update_xaxes(
        range=[0, 122], tickvals=[0, 50, 100], ticktext=["0 %", "50 %", "100 %"], fixedrange=True,
        gridcolor=style.LINE, zeroline=False,
    )  # fmt: skip
    legend = {"orientation": "h", "y": 1.1, "x": 0, "xanchor": "left", "traceorder": "reversed"}
    return style.bare(
        figure, 400, barmode="group", bargap=0.24, bargroupgap=0.0, showlegend=True, legend=legend,
        margin={"l": 8, "r": 8, "t": 30, "b": 28},
    )  # fmt: skip


def gate_bars(classes: Sequence[str], gates: np.ndarray, forgotten: int | Sequence[int] | None) -> go.Figure:
    """How far one filter is closed for every class: 1 - gate. gates: [C] in [0, 1]."""
    several = style.several(forgotten)
    shown = list(range(len(gates))) if len(gates) <= MOST_PAIRS else list(np.argsort(gates, kind="stable")[:MOST_PAIRS])
    shown = shown[::-1]
    figure = Drawing()
    figure.add_bar(
        y=list(range(len(shown))),
        x=[1 - float(gates[c]) for c in shown],
        orientation="h",
        marker={"color": [style.class_color(c, len(classes), forgotten) for c in shown]},
        text=[f"{1 - float(gates[c]):.2f}" for c in shown],
        textposition="outside",
        cliponaxis=False,
        customdata=[style.label(classes[c]) for c in shown],
        hovertemplate="closed for %{customdata}: %{x:.3f}<extra></extra>",
    )
    names = [f"<b>{style.label(classes[c])}</b>" if c in several else style.label(classes[c]) for c in shown]
    figure.update_yaxes(tickvals=list(range(len(shown))), ticktext=names, fixedrange=True, showgrid=False)
    figure.update_xaxes(range=[0, 1.16], tickvals=[0, 0.5, 1], fixedrange=True, gridcolor=style.LINE, zeroline=False)
    return style.bare(figure, 320, bargap=0.3, margin={"l": 8, "r": 8, "t": 8, "b": 28})

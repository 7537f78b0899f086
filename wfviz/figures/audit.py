"""Is it gone? Accuracy on the forgotten class, relearning and attacks, each beside what it has to be compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from wfviz.figures import style
from wfviz.figures.comparison import LEGEND, LOOKS, SHARES, Trace
from wfviz.figures.drawing import Drawing

HEIGHT = 290


def acc_f_bars(traces: Sequence[Trace], names: Sequence[str]) -> go.Figure:
    """A bar for every network with the mean of its values in [0, 1], a dot for every single one. names: of these, by trace."""
    figure = Drawing()
    for row, (trace, of) in enumerate(zip(traces, names, strict=True)):
        values = 100 * np.asarray(trace.values, dtype=float)
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
        color = LOOKS[trace.part][0]
        figure.add_bar(
            y=[row], x=[mean if np.isfinite(mean) else None], orientation="h", marker={"color": color}, width=0.5,
            text=[f"{mean:.1f} %" if np.isfinite(mean) else "–"], textposition="outside", cliponaxis=False,
            hovertemplate=f"{style.label(trace.name, 32)}: %{{x:.1f}} %<extra></extra>",
        )  # fmt: skip
        if len(values) > 1:
            figure.add_scatter(
                x=[float(v) if np.isfinite(v) else None for v in values], y=[row + 0.38] * len(values), mode="markers",
                marker={"symbol": "circle-open", "size": 6, "color": color, "line": {"width": 1.2}}, cliponaxis=False, customdata=list(of),
                hovertemplate=f"{style.label(trace.name, 32)}, %{{customdata}}: %{{x:.1f}} %<extra></extra>",
            )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(range(len(traces))), ticktext=[style.label(t.name, 26) for t in traces], range=[len(traces) - 0.4, -0.5],
        fixedrange=True, showgrid=False, zeroline=False,
    )  # fmt: skip
    figure.update_xaxes(range=[-3, 118], fixedrange=True, gridcolor=style.LINE, gridwidth=0.5, zeroline=False, **SHARES)
    return style.bare(figure, HEIGHT, bargap=0.4, margin={"l": 8, "r": 8, "t": 8, "b": 28})


def relearning_figure(traces: Sequence[Trace], goal: float, limit: int) -> go.Figure:
    """Accuracy on the class after every epoch of learning it again. values: [E + 1] in [0, 1]; goal: where it counts as known."""
    figure = Drawing()
    for trace in traces:
        color, dash, width = LOOKS[trace.part]
        figure.add_scatter(
            x=list(range(len(trace.values))), y=[100 * float(v) for v in trace.values], name=style.label(trace.name, 32),
            mode="lines+markers" if len(trace.values) <= 30 else "lines", line={"color": color, "dash": dash, "width": width},
            marker={"color": color, "size": 6},
            hovertemplate=f"{style.label(trace.name, 32)}, after %{{x}} epochs: %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
    longest = max([len(trace.values) - 1 for trace in traces] + [1])
    end = min(limit, longest) if limit else longest
    if np.isfinite(goal):
        figure.add_shape(
            type="line", x0=0, x1=1, xref="paper", y0=100 * goal, y1=100 * goal, line={"color": style.LINE, "width": 2, "dash": "dot"}
        )
        where, anchor = _free(traces, goal, end)
        figure.add_annotation(
            x=where, xref="paper", y=100 * goal, text="as before", showarrow=False, xanchor=anchor, yanchor="bottom",
            font={"size": 11, "color": style.TEXT},
        )  # fmt: skip
    figure.update_xaxes(
        range=[-0.02 * end, 1.03 * end], title={"text": "epochs of relearning", "standoff": 6}, fixedrange=True, showgrid=False,
        linecolor=style.LINE, nticks=7, dtick=1 if end <= 6 else None, tickformat=",d",  # an epoch has no half
    )  # fmt: skip
    figure.update_yaxes(range=[-3, 104], fixedrange=True, gridcolor=style.LINE, gridwidth=0.5, zeroline=False, **SHARES)
    return style.bare(figure, HEIGHT, showlegend=True, legend=LEGEND, margin={"l": 46, "r": 8, "t": 52, "b": 42})


def _free(traces: Sequence[Trace], goal: float, end: int) -> tuple[float, str]:
    """Where on the line at `goal` no trace runs through its name: part of the width, and the side of the name that lies there."""
    places = ((0.0, "left"), (1.0, "right"), (0.5, "center"), (0.25, "center"), (0.75, "center"))
    for where, anchor in places:
        first = where - {"left": 0, "center": 0.08, "right": 0.16}[anchor]
        at = end * np.linspace(first, first + 0.16, 400)  # a line can rise within one epoch of a hundred
        heights = [np.interp(at[at <= len(trace.values) - 1], range(len(trace.values)), trace.values) for trace in traces]
        if not any(((y > goal - 0.02) & (y < goal + 0.1)).any() for y in heights):
            return where, anchor
    return places[0]


def roc_figure(grid: np.ndarray, traces: Sequence[Trace]) -> go.Figure:
    """True against false positive rate of an attack. grid, values: [G] in [0, 1]; the diagonal is chance."""
    figure = Drawing()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": style.LINE, "width": 1.5}, hoverinfo="skip", showlegend=False
    )
    for trace in traces:
        color, dash, width = LOOKS[trace.part]
        figure.add_scatter(
            x=np.round(grid, 3).tolist(), y=np.round(trace.values, 4).tolist(), mode="lines", name=style.label(trace.name, 40),
            line={"color": color, "dash": dash, "width": width},
            hovertemplate=f"{style.label(trace.name, 40)}: finds %{{y:.0%}} at %{{x:.0%}} false alarms<extra></extra>",
        )  # fmt: skip
    axis = {"fixedrange": True, "gridcolor": style.LINE, "gridwidth": 0.5, "zeroline": False, "tickvals": [0, 0.5, 1],
            "ticktext": ["0 %", "50 %", "100 %"]}  # fmt: skip
    figure.update_xaxes(range=[-0.01, 1.02], title={"text": "false alarms: pictures it never saw", "standoff": 6}, **axis)
    figure.update_yaxes(range=[-0.02, 1.03], title={"text": "members found", "standoff": 6}, **axis)
    return style.bare(figure, HEIGHT, showlegend=True, legend=LEGEND, margin={"l": 54, "r": 24, "t": 52, "b": 42})  # with less on the right, the browser leaves "100 %" out

"""The α matrix of a layer as bar codes: a row per class, a column per filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from wfviz.figures import style
from wfviz.figures.drawing import Drawing
from wfviz.figures.graph import layer_names
from wfviz.scope import Scope

MOST_CELLS = 60_000  # sent to the browser at once


def shown_filters(gates: np.ndarray) -> np.ndarray:
    """The columns to draw: all, or those closed furthest for some class if the matrix is too large."""
    n_classes, n_filters = gates.shape
    most = max(MOST_CELLS // n_classes, 1)
    if n_filters <= most:
        return np.arange(n_filters)
    return np.sort(np.argsort(gates.min(axis=0), kind="stable")[:most])


def similar_order(gates: np.ndarray) -> list[int]:
    """The classes in an order where each stands beside its likest one (nearest neighbour chain)."""
    closed = 1 - np.asarray(gates, dtype=np.float64)
    unit = closed / np.maximum(np.linalg.norm(closed, axis=1, keepdims=True), 1e-12)
    likeness = unit @ unit.T
    chain = [0]
    while len(chain) < len(closed):
        likeness[:, chain[-1]] = -np.inf  # it has its place
        chain.append(int(likeness[chain[-1]].argmax()))
    return chain


def gate_matrix(
    gates: np.ndarray, classes: Sequence[str], layer: str, forgotten: int | None = None, scope: Scope | None = None
) -> go.Figure:
    """Gates of one layer: closed dark, open pale. gates: [C, F] in [0, 1]. Similar classes stand together.

    With a `scope` of all layers they stand side by side in the order of the network, a thin line between two layers.
    """
    columns = shown_filters(gates)
    order = similar_order(gates)
    names = [style.label(classes[c]) for c in order]
    whole = len(columns) == gates.shape[1]
    figure = Drawing()
    sections = _sections(columns, layer, scope)
    places = columns if whole and len(sections) == 1 else np.arange(len(columns))
    for section, (start, stop, indices) in sections.items():
        z = np.asarray(gates, dtype=np.float32)[order][:, columns[start:stop]]
        short = len(columns) * len(order) <= 20_000
        prefix = ("%{text} · " if short else "") + (f"{style.label(section, 60)} · " if len(sections) > 1 else "")
        figure.add_heatmap(
            z=z,
            x=places[start:stop],
            y=np.arange(len(order)),
            customdata=np.broadcast_to(indices.astype(np.min_scalar_type(indices.max(initial=0))), z.shape),
            text=np.broadcast_to(np.array(names, dtype=object)[:, None], z.shape) if short else None,
            zmin=0,
            zmax=1,
            colorscale=style.GATE_SCALE,
            showscale=start == 0,
            colorbar={"title": {"text": "gate", "side": "right"}, "thickness": 10, "tickvals": [0, 0.5, 1],
                      "ticktext": ["0 closed", "0.5", "1 open"], "outlinewidth": 0},
            ygap=1 if len(order) <= 60 else 0,
            hovertemplate=prefix + "filter #%{customdata}: gate %{z:.3f}<extra></extra>",
        )  # fmt: skip
        if start:
            figure.add_shape(
                type="line", yref="paper", x0=start - 0.5, x1=start - 0.5, y0=0, y1=1, line={"color": style.AFTER, "width": 1}
            )
    if forgotten is not None:
        row = order.index(forgotten)
        figure.add_shape(
            type="rect", xref="paper", x0=0, x1=1, y0=row - 0.5, y1=row + 0.5, line={"color": style.AFTER, "width": 2}
        )
    ticks = [f"<b>{n}</b>" if c == forgotten else n for n, c in zip(names, order, strict=True)]
    step = max(1, len(order) // 40)
    figure.update_yaxes(
        tickvals=list(range(len(order)))[::step], ticktext=ticks[::step], autorange="reversed", fixedrange=True
    )
    figure.update_xaxes(title={"text": f"filter of {layer}"}, showticklabels=whole, fixedrange=True)
    if len(sections) > 1:
        figure.update_xaxes(showticklabels=True, **_section_ticks(sections, len(columns)))
    return style.bare(figure, 460, margin={"l": 8, "r": 8, "t": 8, "b": 44})


def _sections(columns: np.ndarray, layer: str, scope: Scope | None) -> dict[str, tuple[int, int, np.ndarray]]:
    """{layer: (first, behind the last, indices in the layer)} of the columns that are drawn."""
    if scope is None or not scope.whole:
        return {layer: (0, len(columns), columns)}
    found = {}
    owners = [scope.places[c].layer for c in columns]
    for name in dict.fromkeys(owners):
        start, stop = owners.index(name), len(owners) - owners[::-1].index(name)
        found[name] = (start, stop, np.array([scope.places[c].index for c in columns[start:stop]]))
    return found


def _section_ticks(sections: dict, n_columns: int) -> dict:
    """The names of the layers below their columns, where there is room."""
    short, ends, values, texts = layer_names(list(sections)), 0.0, [], []
    for name, (start, stop, _) in sections.items():
        middle, half = (start + stop - 1) / 2 / n_columns, 0.006 * len(short[name])
        if middle - half >= ends:
            values.append((start + stop - 1) / 2)
            texts.append(style.label(short[name]))
            ends = middle + half + 0.01
    return {"tickvals": values, "ticktext": texts, "tickangle": 0}

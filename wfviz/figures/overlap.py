"""Which classes share filters, beside which classes the network mixes up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from wfviz.figures import style
from wfviz.figures.confusion import cell_text
from wfviz.figures.drawing import Drawing

MOST_CLASSES = 60  # drawn at once
MOST_NUMBERS = 12  # classes up to which every cell shows its number


def shown_classes(values: np.ndarray, forgotten: int | None = None) -> list[int]:
    """The classes to draw: all, or those with the largest value off the diagonal and the forgotten one, in their order."""
    if len(values) <= MOST_CLASSES:
        return list(range(len(values)))
    others = np.where(np.eye(len(values), dtype=bool), -np.inf, values).max(axis=1)
    if forgotten is not None:
        others[forgotten] = np.inf
    return sorted(np.argsort(-others, kind="stable")[:MOST_CLASSES].tolist())


def pair_figure(
    values: np.ndarray, classes: Sequence[str], what: str, shown: Sequence[int], forgotten: int | None = None
) -> go.Figure:
    """A symmetric matrix of pairs of classes, its diagonal left out. values: [C, C] in [0, 1]; `what` names one on hover.

    The scale is that of the confusion matrices: small shares are lifted.
    """
    part = np.asarray(values, dtype=np.float64)[np.ix_(shown, shown)]
    names = [style.label(classes[c]) for c in shown]
    n = len(names)
    off = ~np.eye(n, dtype=bool)
    z = np.where(off, part, np.nan).astype(np.float32)
    figure = Drawing()
    figure.add_heatmap(
        z=z,
        x=np.arange(n),
        y=np.arange(n),
        zmin=0,
        zmax=1,
        colorscale=style.SHARE_SCALE,
        showscale=False,
        xgap=1 if n <= 40 else 0,
        ygap=1 if n <= 40 else 0,
        customdata=[[f"{a} and {b}: {what} {style.percent(v)}" for b, v in zip(names, row, strict=True)] for a, row in zip(names, part, strict=True)],
        hovertemplate="%{customdata}<extra></extra>",
        hoverongaps=False,
    )  # fmt: skip
    for strong in (False, True) if n <= MOST_NUMBERS else ():
        cells = [(i, j) for i, j in zip(*np.nonzero(off), strict=True) if (part[i, j] >= 0.5) == strong]
        figure.add_scatter(
            x=[int(j) for _, j in cells],
            y=[int(i) for i, _ in cells],
            mode="text",
            text=[cell_text(part[i, j]) for i, j in cells],
            textfont={"size": 10, "color": style.ON_DARK if strong else style.INK},
            hoverinfo="skip",
        )
    step = max(1, -(-n // 25))
    ticks = list(range(0, n, step))
    frame = {"showgrid": False, "zeroline": False, "fixedrange": True, "ticks": "", "autorange": False, "showline": True,
             "mirror": True, "linecolor": style.LINE, "linewidth": 1, "tickvals": ticks}  # fmt: skip
    bold = [f"<b>{names[i]}</b>" if shown[i] == forgotten else names[i] for i in ticks]
    flat = max(map(len, names), default=0) <= 3
    figure.update_xaxes(ticktext=bold, range=[-0.5, n - 0.5], tickangle=0 if flat else -45, **frame)
    figure.update_yaxes(ticktext=bold, range=[n - 0.5, -0.5], **frame)
    return style.bare(figure, 400, margin={"l": 8, "r": 4, "t": 4, "b": 8})


def words(
    classes: Sequence[str], shared: np.ndarray, mixed: np.ndarray, correlation: tuple[float, float], split: str, cosine: bool = False
) -> str:
    """Whether classes that share filters are mixed up. shared, mixed: [C, C]; correlation: Pearson's and Spearman's.

    cosine: `shared` is the likeness of rows, not a part of the filters.
    """
    pairs = np.triu_indices(len(classes), 1)
    most = len(pairs[0])
    if most < 3:
        return f"With {style.count(len(classes), 'class', 'classes')} there are too few pairs to compare."
    if mixed[pairs].max() <= 0:
        return f"The original network mixes up no two classes on the {split} split, so there is nothing to compare the overlap with."
    if np.ptp(mixed[pairs]) < 1e-12:
        return f"The original network mixes up every two classes equally often on the {split} split, so there is nothing to compare."
    if shared[pairs].max() <= 0:
        return "No two classes share a filter, so there is nothing to compare the mix-ups with."
    if np.ptp(shared[pairs]) < 1e-12:
        size = f"have the cosine {shared[pairs].max():.2f}" if cosine else f"overlap equally, {style.percent(shared[pairs].max())}"
        return f"Every two classes {size}, so there is nothing to compare."
    pearson, spearman = correlation
    size, more = abs(spearman), "more" if spearman >= 0 else "less"
    how = "not" if size < 0.1 else "hardly" if size < 0.3 else "somewhat" if size < 0.6 else "clearly"
    at = int(np.argmax(shared[pairs]))
    some = ", for example," if (shared[pairs] > shared[pairs][at] - 1e-9).sum() > 1 else ""
    a, b = (style.called(classes[side[at]]) for side in pairs)
    those = "rows are more alike" if cosine else "filters overlap more"
    best = f"The rows of {a} and {b}{some} are most alike, cosine {shared[pairs][at]:.2f}" if cosine else f"{a} and {b}{some} overlap most, {style.percent(shared[pairs][at])}"
    return (
        f"Over {most:,} pairs of classes, those whose {those} are {how} mixed up {more} often by the original network: "
        f"Pearson {_signed(pearson)}, Spearman {_signed(spearman)}. {best}; "
        f"{style.percent(mixed[pairs][at])} of their pictures are taken for each other."
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")

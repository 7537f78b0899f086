"""The bipartite graph of Figure 3 of the paper: filters on the left, classes on the right."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import networkx as nx
import numpy as np
import plotly.graph_objects as go

from wfviz import relations as rel
from wfviz.figures import style
from wfviz.figures.strip import short_names
from wfviz.figures.drawing import Drawing

# A line's width says how far the gate is closed, in four steps: (least 1 - gate, width in pixels, in words).
WIDTHS = ((0.75, 5.0, "over 0.75"), (0.5, 3.2, "over 0.5"), (0.25, 1.8, "over 0.25"), (0.0, 0.8, "up to 0.25"))
BEND = np.linspace(0.0, 1.0, 15)
EASE = BEND * BEND * (3 - 2 * BEND)
LIGHT = (0.09, 0.38, 0.8)  # opacity of lines far from, near and in what is asked about
HEIGHT = 560
MOST_CLASSES = 40  # drawn at once
GAP = 1.0  # between two bands, in places of a filter
LETTER = 0.017  # width of a letter beside a band, in units of the distance between the sides
PER_LINE = 14  # letters of a layer's name in one line


def bucket(weight: float) -> int:
    """The index in WIDTHS of a line with 1 - gate = `weight`."""
    return next(i for i, (least, _, _) in enumerate(WIDTHS) if weight > least or i == len(WIDTHS) - 1)


def heights(order: Sequence[int]) -> dict[int, float]:
    """Position from the top (1) to the bottom (0) for every index of `order`, evenly spread."""
    n = len(order)
    return {index: 1 - (i + 0.5) / n for i, index in enumerate(order)} if n else {}


def banded(order: Sequence[int], bands: Sequence[str]) -> dict[int, float]:
    """The same with a gap between neighbours of different bands; `bands` holds the band of every one of `order`."""
    places, slot = {}, 0.5
    for i, index in enumerate(order):
        slot += GAP if i and bands[i] != bands[i - 1] else 0.0
        places[index] = slot
        slot += 1.0
    return {index: 1 - place / (slot - 0.5) for index, place in places.items()}


def neighbourhood(graph: nx.Graph, focus: tuple[str, int] | None) -> set[tuple[str, int]] | None:
    """The nodes lit by a focus: itself, its neighbours; None when nothing is isolated."""
    if focus is None or focus not in graph:
        return None
    return {focus, *graph[focus]}


def drawn(graph: nx.Graph, forgotten: int | None = None, focus: tuple[str, int] | None = None) -> nx.Graph:
    """The part of the graph that is drawn: all of it, unless it has over MOST_CLASSES classes.

    Then what is asked about (`focus`, else the forgotten class) with its neighbours. Around a class: those that share
    most filters with it, MOST_CLASSES in all. Around a filter: the MOST_CLASSES classes it is closed furthest for, and
    as many of their other filters, those that most of them share.
    """
    asked = asked_about(graph, forgotten, focus)
    if asked is None or sum(kind == rel.CLASS for kind, _ in graph) <= MOST_CLASSES:
        return graph
    near = sorted(graph[asked], key=lambda n: (-graph.edges[asked, n]["weight"], n))
    near = near if asked[0] == rel.CLASS else near[:MOST_CLASSES]
    shared = Counter(n for node in near for n in graph[node] if n != asked)
    most = sorted(shared, key=lambda n: (-shared[n], n))[: MOST_CLASSES - (asked[0] == rel.CLASS)]
    return graph.subgraph({asked, *near, *most}).copy()


def asked_about(graph: nx.Graph, forgotten: int | None, focus: tuple[str, int] | None) -> tuple[str, int] | None:
    """The node whose lines are lit: the one in focus, else the forgotten class; None where neither is in the graph."""
    return next((node for node in (focus, (rel.CLASS, forgotten)) if node in graph), None)


def filter_class_figure(
    graph: nx.Graph,
    classes: Sequence[str],
    forgotten: int | None = None,
    focus: tuple[str, int] | None = None,
) -> go.Figure:
    """Filters left, classes right, in barycentre order; a line's width grows with 1 - gate.

    `focus` is a node, ("filter", 12) or ("class", 3): its lines are lit, those of the same filters to
    other classes are faint. Without it the same is done for the forgotten class. Every node's
    customdata is [kind, index]. Of a graph with over MOST_CLASSES classes the part that `drawn` gives is drawn. Filters
    that carry a `band` stand in bands with their names at the left.
    """
    asked, graph = asked_about(graph, forgotten, focus), drawn(graph, forgotten, focus)
    filters, order = rel.barycentre_order(graph)
    bands = [graph.nodes[rel.FILTER, f].get("band", "") for f in filters]
    left, right = banded(filters, bands), heights(order)
    lit = neighbourhood(graph, focus)
    figure = Drawing()
    for (light, color, level), lines in _lines(graph, left, right, len(classes), forgotten, asked).items():
        figure.add_scatter(
            x=np.concatenate([np.append(BEND, np.nan) for _ in lines]).astype(np.float32),
            y=np.concatenate([np.append(a + (b - a) * EASE, np.nan) for a, b in lines]).astype(np.float32),
            mode="lines",
            line={"color": color, "width": WIDTHS[level][1]},
            opacity=LIGHT[light],
            hoverinfo="skip",
        )
    for kind, places in ((rel.FILTER, left), (rel.CLASS, right)):
        _nodes(figure, graph, kind, places, classes, lit, forgotten, focus)
    longest = max((min(len(str(classes[c])), 20) for c in order), default=1)
    room = 0.09 + LETTER * max((len(graph.nodes[rel.FILTER, f]["label"]) for f in filters), default=0)
    room += _bands(figure, filters, bands, left, room)
    figure.update_xaxes(visible=False, range=[-room, 1.06 + 0.022 * longest], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-0.01, 1.01], fixedrange=True)
    return style.bare(figure, HEIGHT, hovermode="closest", clickmode="event+select")


def layer_names(names: Sequence[str]) -> dict[str, str]:
    """Every layer by what tells it from the others; with what stands before it if that is a bare number: `blocks.0`."""
    short = short_names(list(names))
    return {
        name: name[: name.index(f".{least}") + 1 + len(least)] if least.isdigit() and f".{least}" in name else least
        for name, least in short.items()
    }


def two_lines(name: str) -> list[str]:
    """A layer's name, broken after a point where it is longer than one line."""
    if len(name) <= PER_LINE:
        return [name]
    end = name.rfind(".", 0, PER_LINE) + 1
    return [name[:end], name[end:]] if end else [name]


def lit_lines(graph: nx.Graph, n_classes: int, forgotten: int | None = None) -> list[tuple[int, int, str, float]]:
    """Every line as (filter, class, colour, width in pixels), for whoever lights it."""
    return [
        (f, c, style.class_color(c, n_classes, forgotten), WIDTHS[bucket(graph.edges[(rel.FILTER, f), (rel.CLASS, c)]["weight"])][1])
        for f in rel.nodes_of(graph, rel.FILTER)
        for _, c in graph[(rel.FILTER, f)]
    ]


def _bands(figure, filters, bands, places, room) -> float:
    """Draw a bracket and the name of every band left of the filters; the room this takes."""
    names = list(dict.fromkeys(bands))
    if names in ([], [""]):
        return 0.0
    short = {name: two_lines(least) for name, least in layer_names(names).items()}
    half = 0.4 / max(len(filters) + GAP * (len(names) - 1), 1)
    for name in names:
        inside = [places[f] for f, band in zip(filters, bands, strict=True) if band == name]
        figure.add_shape(
            type="line", x0=-room, x1=-room, y0=min(inside) - half, y1=max(inside) + half,
            line={"color": style.QUIET, "width": 2},
        )  # fmt: skip
        figure.add_annotation(
            x=-room, y=(min(inside) + max(inside)) / 2, text="<br>".join(style.label(line, PER_LINE) for line in short[name]), showarrow=False,
            xanchor="right", xshift=-5, align="right", hovertext=style.label(name, 60), font={"size": 12, "color": style.TEXT},
        )  # fmt: skip
    return 0.02 + LETTER * min(max(len(line) for lines in short.values() for line in lines), PER_LINE)


def _lines(graph, left, right, n_classes, forgotten, asked):
    """(light, colour, width step) -> [(height left, height right)], the faintest first.

    Light is 2 for the lines asked about, 1 for other lines of the same filters, 0 for the rest.
    """
    near = set() if asked is None else set(graph[asked])
    groups = defaultdict(list)
    for f in left:
        for _, c in graph[(rel.FILTER, f)]:
            ends = ((rel.FILTER, f), (rel.CLASS, c))
            light = 2 if asked is None or asked in ends else 1 if ends[0] in near else 0
            color = style.class_color(c, n_classes, forgotten) if light else style.QUIET
            groups[(light, color, bucket(graph.edges[ends]["weight"]))].append((left[f], right[c]))
    return dict(sorted(groups.items()))


def _nodes(figure, graph, kind, places, classes, lit, forgotten, focus):
    """Add the markers and names of one side."""
    names, colors, hovers, sizes, opacities = [], [], [], [], []
    for index in places:
        node = (kind, index)
        ends = sorted(graph[node], key=lambda n: -graph.edges[node, n]["weight"])
        near = [f"{style.label(graph.nodes[n]['label'])} ({graph.edges[node, n]['weight']:.2f})" for n in ends[:12]]
        is_filter = kind == rel.FILTER
        label = style.label(graph.nodes[node]["label"])
        bold = node == focus or (not is_filter and index == forgotten)
        names.append(f"<b>{label}</b>" if bold else label)
        colors.append(style.QUIET if is_filter else style.class_color(index, len(classes), forgotten))
        sizes.append(14 if node == focus else min(9 if is_filter else 13, max(4, 450 // len(places))))
        opacities.append(1.0 if lit is None or node in lit else 0.25)
        what = "closed for" if is_filter else f"most closed filters{' shared with other classes' if graph.graph['shared_by'] > 1 else ''}"
        title = style.label(graph.nodes[node].get("name", f"filter {label}"), 60) if is_filter else label
        hovers.append(f"<b>{title}</b><br>{what}: {', '.join(near) or 'none'}")
    many = len(places)
    figure.add_scatter(
        x=[0.0 if kind == rel.FILTER else 1.0] * many,
        y=list(places.values()),
        mode="markers+text",
        text=names if many <= 60 else ["" for _ in names],
        textposition="middle left" if kind == rel.FILTER else "middle right",
        textfont={"size": 13 if kind == rel.CLASS and many <= 30 else 12 if many <= 34 else 10 if many <= 46 else 8},
        marker={"color": colors, "size": sizes, "opacity": opacities, "line": {"width": 1, "color": style.LINE}},
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
        customdata=[[kind, index] for index in places],
        hovertext=hovers,
        hoverinfo="text",
        hoverlabel={"namelength": -1},
    )

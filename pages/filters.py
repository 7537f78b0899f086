"""Page 2: which filters hold which class."""

from functools import partial

import streamlit as st

from wfviz import relations as rel
from wfviz.errors import WfvizError
from wfviz.figures import gates as gate_figures
from wfviz.figures import graph as graph_figures
from wfviz.figures import sentences
from wfviz.figures.style import called
from wfviz.scope import ALL
from wfviz.ui import cached, filtercard, overlapping, related, relating, whatif
from wfviz.ui.lighting import light_on_hover
from wfviz.ui.state import current
from wfviz.ui.widgets import chart, choice, how, number, switch
from wfviz.ui.words import plain, sentence

state = current()
network, classes, forget = state.network, state.network.classes, state.forget

st.title(plain(f"Which filters hold {called(state.forgotten) if state.forgotten else 'which class'}?"))
try:
    layers = {name: g["weight"] for name, g in cached.gates(network).items()}
except WfvizError as error:
    st.error(sentence(error))
    st.stop()

answer = st.container()
thirds = st.grid(3, min_column_width=250, gap="small")
left, right = thirds.cell(column_span=2), thirds.cell()
with left:
    which, top, shared = st.columns([3, 2, 2], gap="small", wrap=False)
with which:
    layer = choice("Layer", [*layers, ALL], "layer", default=related.telling_layer(network, layers))
    relating.follow(network.slug, layer)
scope = related.scope(network, layers, layer)
gates = scope.gates
with top:
    k = number("Top", 1, min(100, gates.shape[1]), min(10, gates.shape[1]), "top", help="Filters taken for every class.")
with shared:
    shared_by = number(
        "Shared by", 1, min(10, len(classes)), min(2, len(classes)), "shared",
        help="A filter is shown when at least so many classes have it among theirs.",
    )  # fmt: skip
graph = related.graph(network, scope, k, shared_by)
filters = relating.offered(scope, graph)
with right:
    focus = relating.focus(scope, filters, classes)
    isolated = focus[1] if focus is not None and focus[0] == rel.FILTER else None
    beside = relating.card(state, scope, k, focus)

words = sentences.sharing(classes, layer, related.tops(network, scope, k), related.overlap(network, scope, k), forget, partial(relating.short, scope))
answer.markdown(plain(words))

with left:
    view = switch("View", ["graph", "matrix", "overlap", "table"], "view")
    if view == "graph" and len(classes) > graph_figures.MOST_CLASSES and graph_figures.asked_about(graph, forget, focus) is None:
        st.info("With so many classes the graph is drawn for one of them: forget or isolate a class, or a filter that several share.", icon=":material/hub:")
    elif view == "graph" and rel.nodes_of(graph, rel.FILTER):
        part = graph_figures.drawn(graph, forget, focus)
        figure = graph_figures.filter_class_figure(part, classes, forget, focus)
        chart(figure, words, "graph", on_click=lambda node: relating.click(scope, classes, node))
        light_on_hover("graph", graph_figures.lit_lines(part, len(classes), forget))
        few = "" if part is graph else f" The nearest {len(rel.nodes_of(part, rel.CLASS))} of {len(classes):,} classes are drawn."
        st.caption("Filters left, classes right; the further a gate is closed, the thicker its line. Click to isolate." + few)
    elif view == "graph":
        st.info("No filter is shared by so many classes. Lower “Shared by” or raise “Top”.", icon=":material/hub:")
    elif view == "matrix":
        chart(gate_figures.gate_matrix(gates, classes, layer, forget, scope), words, "matrix")
        drawn = len(gate_figures.shown_filters(gates))
        few = "" if drawn == gates.shape[1] else f" The {drawn:,} of {gates.shape[1]:,} filters that are closed furthest for some class are drawn."
        st.caption("A row reads like the bar code of its class: closed gates are dark. Similar classes stand together." + few)
    elif view == "overlap":
        overlapping.view(state, scope, k)
    else:
        st.dataframe(
            relating.table(state, scope, k), hide_index=True, height=560,
            column_config=relating.TABLE_FORMATS, alt=words,
        )  # fmt: skip

whatif.section(state, scope, filters, isolated, k)

how(
    f"""
α holds one number for every class and every filter; a gate is its sigmoid, from 0 (closed) to 1 (open).
The **top {k}** of a class are the {k} filters whose gates are closed furthest in its row, equal ones in the order of
their index; among all layers they are taken over all gates of the class. A filter is drawn if at least {shared_by} classes
have it among theirs (Figure 3 of Poppi et al. 2024 uses 10 and 2). A line's width stands for 1 − gate: {relating.widths()}.
Both sides are ordered by the mean position of their neighbours so that few lines cross, filters within their layer or head.
**Overlap** is the Jaccard index of two top lists, filters in both over filters in either; **likeness** is the cosine of two
rows of 1 − gate. Two classes are **taken for each other** as often as the mean of both directions in the confusion matrix of
the original network, each as a share of its true class; Spearman's correlation is Pearson's of the ranks. Pairs that have a
class in common are not independent, so the correlations carry no test.
A filter's **activity** on a picture is the mean of the positive part of its output over space; its **relevance** is its output
times the gradient of the predicted class's output, summed over space (Achtibat et al. 2023). The picture it would like is made
by activation maximisation with jitter and a smoothness penalty (Erhan et al. 2009; Olah et al. 2017). Closing filters multiplies
their outputs by the gate in the original network; at most 2,000 pictures of the split are classified, always the same ones,
and of pictures over 64 pixels at most 250 are searched for those a filter answers to.
"""
)

if beside is not None:
    with beside:
        filtercard.evidence(state, scope, isolated)

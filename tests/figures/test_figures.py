"""Figures say what the arrays say, in one visual language."""

import json

import networkx as nx
import numpy as np
import pytest

from wfviz import relations as rel
from wfviz.figures import bars, confusion, gates, graph, sentences, strip, style


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def classes(n: int) -> list[str]:
    return [f"class {c}" for c in range(n)]


def chances(rng, n: int) -> np.ndarray:
    return rng.dirichlet(np.ones(n))


# --- every figure is drawn at every size, without a background and of a fixed height ------------


def every_figure(rng, n: int, forgotten):
    alpha = rng.random((n, 24)).astype(np.float32)
    counts = rng.integers(1, 50, n)
    matrix = rng.integers(0, 9, (n, n))
    relations = rel.filter_class_graph(alpha, classes(n), 5, 1)
    after = None if forgotten is None else chances(rng, n)
    return {
        "strip": strip.strip({"conv1": alpha[0], "conv2": alpha[-1]}),
        "accuracy": bars.accuracy_bars(classes(n), rng.random(n), rng.random(n), counts, forgotten),
        "chances": bars.probability_bars(classes(n), chances(rng, n), after, forgotten),
        "card": bars.gate_bars(classes(n), alpha[:, 0], forgotten),
        "graph": graph.filter_class_figure(relations, classes(n), forgotten),
        "focus": graph.filter_class_figure(relations, classes(n), forgotten, (rel.CLASS, 0)),
        "matrix": gates.gate_matrix(alpha, classes(n), "conv1", forgotten),
        "confusion": confusion.confusion_figure(confusion.shares(matrix), matrix, classes(n), False, forgotten, (0, 0)),
        "difference": confusion.confusion_figure(rng.uniform(-1, 1, (n, n)), matrix, classes(n), True, forgotten),
        "collateral": confusion.collateral_figure(rng.uniform(-1, 1, (n, n)), classes(n), forgotten),
    }


@pytest.mark.parametrize("n", [1, 2, 10, 13, 60])
@pytest.mark.parametrize("forgotten", [None, 0])
def test_every_figure_is_drawn(rng, n, forgotten):
    for name, figure in every_figure(rng, n, forgotten).items():
        layout = figure.layout
        assert figure.data, name
        assert layout.height, name
        assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)", name
        assert layout.dragmode is False, name
        assert len(figure.to_json()) < 1_500_000, name


def test_height_depends_on_neither_class_nor_numbers(rng):
    heights = [{name: f.layout.height for name, f in every_figure(rng, 10, c).items()} for c in (None, 0, 9)]
    assert heights[0] == heights[1] == heights[2]


# --- colours ------------------------------------------------------------------------------------


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("color", [style.BEFORE, style.AFTER, *style.CLASS_COLORS])
def test_colours_hold_on_light_and_dark(color):
    assert contrast(color, "#FFFFFF") >= 2.3
    assert contrast(color, "#14161A") >= 2.9


def seen(color: str, matrix: np.ndarray) -> np.ndarray:
    """The colour for somebody with one kind of cone missing (Viénot 1999), in Lab-like coordinates."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** 2.2
    rgb = np.clip(matrix @ rgb, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


VISIONS = {
    "all cones": np.eye(3),
    "no red": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "no green": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


@pytest.mark.parametrize("vision", VISIONS)
def test_classes_and_accent_are_told_apart(vision):
    colors = [seen(c, VISIONS[vision]) for c in (*style.CLASS_COLORS[:10], style.AFTER)]
    nearest = min(np.linalg.norm(a - b) for i, a in enumerate(colors) for b in colors[:i])
    assert nearest > 5


def test_colour_of_a_class():
    assert style.class_color(2, 10) == style.CLASS_COLORS[2]
    assert style.class_color(2, 10, forgotten=2) == style.AFTER
    assert style.class_color(2, 13) == style.QUIET
    assert style.class_color(2, 1000, forgotten=2) == style.AFTER


# --- what is drawn ------------------------------------------------------------------------------


def test_forgotten_class_stands_first_and_most_changed_ones_follow(rng):
    before, after = np.ones(100), np.ones(100)
    after[[7, 40]] = 0.2, 0.5
    assert bars.shown_classes(before, after, 90)[:3] == [90, 7, 40]
    assert bars.shown_classes(before[:10], after[:10], 4) == [4, 0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert [len(bars.shown_classes(before, after, forgotten)) for forgotten in (None, 90, (1, 2, 3))] == [bars.MOST_PAIRS] * 3


def test_every_cell_of_many_classes_speaks_and_the_forgotten_row_is_named(rng):
    values = rng.random((60, 60))
    figure = confusion.confusion_figure(values, np.ones((60, 60), int), classes(60), False, 31)
    assert figure.data[0].customdata[31][7] == f"{classes(60)[31]} taken for {classes(60)[7]}: {style.percent(values[31, 7])}"
    assert f"<b>{classes(60)[31]}</b>" in figure.layout.yaxis.ticktext and 31 in figure.layout.yaxis.tickvals
    assert min(np.diff(figure.layout.yaxis.tickvals)) >= 3  # names do not overlap
    assert confusion.confusion_figure(values[:9, :9], np.ones((9, 9), int), classes(9)).data[0].customdata is None


def test_bars_carry_the_numbers(rng):
    before, after = rng.random(10), rng.random(10)
    figure = bars.accuracy_bars(classes(10), before, after, np.full(10, 5), 3)
    order = bars.shown_classes(before, after, 3)
    assert figure.data[0].y == pytest.approx(100 * before[order])
    assert figure.data[1].y == pytest.approx(100 * after[order])
    assert figure.data[0].marker.color == style.BEFORE and figure.data[1].marker.color == style.AFTER


def test_graph_draws_every_line_once(rng):
    alpha = rng.random((10, 64))
    relations = rel.filter_class_graph(alpha, classes(10), 10, 2)
    for focus in (None, (rel.CLASS, 3), (rel.FILTER, rel.nodes_of(relations, rel.FILTER)[0]), (rel.FILTER, 9999)):
        for forgotten in (None, 3):
            figure = graph.filter_class_figure(relations, classes(10), forgotten, focus)
            lines = [t for t in figure.data if t.mode == "lines"]
            assert sum(int(np.isnan(t.x).sum()) for t in lines) == relations.number_of_edges()
            nodes = [tuple(c) for t in figure.data if t.mode != "lines" for c in t.customdata]
            assert sorted((kind, int(i)) for kind, i in nodes) == sorted(relations)


def test_with_many_classes_the_nearest_are_drawn(rng):
    n = 3 * graph.MOST_CLASSES
    relations = rel.filter_class_graph(rng.random((n, 30)), classes(n), 6, 2)
    own = set(relations[rel.CLASS, 3])
    common = {c: len(own & set(relations[rel.CLASS, c])) for c in range(n) if c != 3}
    part = graph.drawn(relations, 3)
    near = set(rel.nodes_of(part, rel.CLASS)) - {3}
    assert set(part[rel.CLASS, 3]) == own and len(near) == graph.MOST_CLASSES - 1
    assert min(common[c] for c in near) >= max(common[c] for c in set(common) - near)

    f = rel.nodes_of(relations, rel.FILTER)[0]
    users = sorted((relations.edges[edge]["weight"] for edge in relations.edges((rel.FILTER, f))), reverse=True)
    part = graph.drawn(relations, 3, (rel.FILTER, f))
    drawn = [part.edges[edge]["weight"] for edge in part.edges((rel.FILTER, f))]
    assert sorted(drawn, reverse=True) == users[: graph.MOST_CLASSES]
    for focus in (None, (rel.FILTER, f)):
        figure = graph.filter_class_figure(relations, classes(n), 3, focus)
        assert len(figure.data[-1].customdata) <= graph.MOST_CLASSES and len(figure.data[-2].customdata) <= graph.MOST_CLASSES + 1
    few = rel.filter_class_graph(rng.random((graph.MOST_CLASSES, 30)), classes(graph.MOST_CLASSES), 6, 2)
    assert graph.drawn(few, 3) is few


def test_width_of_a_line_grows_with_the_closed_share():
    widths = [graph.WIDTHS[graph.bucket(w)][1] for w in (0.0, 0.25, 0.26, 0.5, 0.51, 0.76, 1.0)]
    assert widths == sorted(widths) and widths[0] < widths[-1]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("fc1", ["fc1"]), ("layer4.1.conv1", ["layer4.1.conv1"]), ("layer4.0.downsample.0", ["layer4.0.", "downsample.0"]),
        ("blocks.10.attn.qkv", ["blocks.10.", "attn.qkv"]), ("a_name_without_a_point", ["a_name_without_a_point"]),
    ],
)  # fmt: skip
def test_the_name_of_a_layer_stands_in_two_lines(name, lines):
    """Beside its band, where one line of it would be cut off at the left."""
    assert graph.two_lines(name) == lines


def test_empty_graph_is_drawn():
    assert graph.filter_class_figure(nx.Graph(), [], None).layout.height == graph.HEIGHT


def test_every_cell_can_be_clicked(rng):
    figure = confusion.confusion_figure(rng.random((10, 10)), np.ones((10, 10), int), classes(10))
    cells = {tuple(c[:2]) for t in figure.data if t.type == "scatter" for c in t.customdata}
    assert cells == {(i, j) for i in range(10) for j in range(10)}


def test_scales_are_shared_and_centred(rng):
    matrix = rng.random((4, 4))
    assert confusion.confusion_figure(matrix, matrix, classes(4)).data[0].zmin == 0
    difference = confusion.confusion_figure(matrix, matrix, classes(4), change=True).data[0]
    assert (difference.zmin, difference.zmax) == (-1, 1)


def test_shares_of_a_class_without_pictures():
    assert confusion.shares(np.zeros((2, 2), int)).tolist() == [[0, 0], [0, 0]]


def test_large_matrices_are_cut_to_the_columns_that_say_something(rng):
    alpha = np.ones((1000, 2000), np.float32)
    alpha[5, [17, 1900]] = 0
    shown = gates.shown_filters(alpha)
    assert len(shown) * 1000 <= gates.MOST_CELLS and {17, 1900} <= set(shown.tolist())


def test_similar_classes_stand_together():
    closed = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 0.9], [0, 1, 0.9, 0]])
    assert gates.similar_order(1 - closed) == [0, 2, 1, 3] or gates.similar_order(1 - closed) == [0, 2, 3, 1]


def test_strip_names_the_layers():
    rows = {f"blocks.{i}.attn.qkv": np.ones(8) for i in range(12)}
    assert [a.text for a in strip.strip(rows).layout.annotations] == [str(i) for i in range(12)]
    rows = {"conv1": np.array([0.1, 0.9]), "conv2": np.array([0.4, 0.2])}
    assert [a.text for a in strip.strip(rows).layout.annotations] == ["conv1 · 1/2", "conv2 · 2/2"]
    assert strip.strip_text(rows, "cat") == "Switched off for cat: 3 of 4 filters."


def test_figures_are_plain_json(rng):
    for figure in every_figure(rng, 10, 1).values():
        json.loads(figure.to_json())


# --- sentences ----------------------------------------------------------------------------------

NAMES = ["cat", "dog", "3"]


def test_sentence_of_forgetting():
    counts, before = np.array([1000, 1000, 1000]), np.array([900, 900, 950])
    said = sentences.forgetting(NAMES, counts, before, np.array([0, 890, 950]), 0)
    assert said == (
        "Of 1,000 pictures of cat, none is still recognised (before: 900); "
        "the other classes lose 0.5 points on average, dog most: 1.0."
    )
    assert "“3”" in sentences.forgetting(NAMES, counts, before, before, 2)
    assert "stay as they were" in sentences.forgetting(NAMES, counts, before, before, 2)
    assert "gain 1.0 points on average." in sentences.forgetting(NAMES, counts, before, before + 10, 2)
    assert sentences.forgetting(NAMES, counts, before, before, None).startswith("Nothing is forgotten: the network recognises 91.7 %")
    assert "No picture of cat" in sentences.forgetting(NAMES, np.array([0, 5, 5]), before, before, 0)
    assert sentences.forgetting(["cat"], counts[:1], before[:1], before[:1], 0).endswith("(before: 900).")


@pytest.mark.parametrize(("change", "said"), [
    ((60, -31, -19), "gain 0.3 points on average; dog loses most: 3.1."), ((30, -31, 20), "gain 0.6 points on average; only dog loses 3.1."),
    ((0, -31, 31), "keep their accuracy on average; dog loses most: 3.1 points."), ((0, -30, -30), "lose 2.0 points on average, dog most: 3.0."),
])  # fmt: skip
def test_who_loses_when_a_class_is_forgotten(change, said):
    counts, before = np.full(4, 1000), np.full(4, 900)
    assert sentences.forgetting(["cat", "3", "dog", "bird"], counts, before, before + np.array([-900, *change]), 0).endswith(said)


def test_filters_are_named_in_the_sentence_on_sharing():
    tops, overlap = [[(1, 0.9), (2, 0.8)], [(2, 0.7)]], np.eye(2)
    assert "; #2 stands for the most classes, 2" in sentences.sharing(NAMES, "conv1", tops, overlap, None)
    assert "; conv1 #2 stands for" in sentences.sharing(NAMES, "all layers", tops, overlap, None, "conv1 #{}".format)


def test_sentences_of_pictures_and_mistakes():
    before, after = np.array([0.97, 0.02, 0.01]), np.array([0.2, 0.61, 0.19])
    assert sentences.picture(NAMES, before, after, 0) == "A picture of cat: was cat (97.0 %), now dog (61.0 %)."
    assert "stays so" in sentences.picture(NAMES, before, before)
    assert sentences.picture(NAMES, before, after) == "Was cat (97.0 %), now dog (61.0 %)."
    assert sentences.picture(NAMES, before, None) == "Taken for cat (97.0 %)."
    assert sentences.taken_for(NAMES, np.array([0, 75, 25]), 0) == "Pictures of cat are now taken for dog (75.0 %) and “3” (25.0 %)."
    assert sentences.taken_for(NAMES, np.zeros(3), 0) == ""
    assert "14 of 15 pictures; most often it takes dog for cat: 1 of 5 pictures of dog." in sentences.mix_ups(NAMES, np.array([[5, 0, 0], [1, 4, 0], [0, 0, 5]]))
    assert "for example it takes cat for “3”: 1 of 5 pictures of cat." in sentences.mix_ups(NAMES, np.array([[4, 0, 1], [1, 4, 0], [0, 0, 5]]))
    many = sentences.taken_for([*NAMES, "hen", "cow"], np.array([0, 5, 3, 2, 1]), 0)
    assert many == "Pictures of cat are now mostly taken for dog (45.5 %), “3” (27.3 %) and hen (18.2 %)."


def test_sentences_of_two_classes_and_of_one_filter():
    counts, before = np.array([50, 50]), np.array([50, 50])
    assert sentences.forgetting(["cat", "dog"], counts, before, np.array([0, 49]), 0).endswith("(before: 50); dog loses 2.0 points.")
    assert sentences.forgetting(["cat", "dog"], counts, before, np.array([0, 50]), 0).endswith("; dog stays as it was.")
    overlap = np.zeros((2, 2))
    assert "The filter of conv that is most closed for cat is not shared" in sentences.sharing(["cat", "dog"], "conv", [[(1, 0.9)], [(2, 0.9)]], overlap, 0)
    assert "1 is shared with" in sentences.sharing(["cat", "dog"], "conv", [[(1, 0.9), (3, 0.8)], [(1, 0.9), (2, 0.8)]], overlap, 0)
    assert sentences.sharing(["cat", "dog"], "conv", [[(1, 0.9)], [(2, 0.9)]], overlap, None) == "In conv, 0 of 2 chosen filters stand for more than one class."
    assert "Every one of 15 pictures" in sentences.mix_ups(NAMES, 5 * np.eye(3, dtype=int))
    change = np.array([[-0.9, 0.0, -0.1], [0.0, -0.9, 0.0], [0.0, 0.0, -0.9]])
    assert "hit hardest is “3” when cat is forgotten: −10.0" in sentences.collateral(NAMES, change)
    assert sentences.collateral(["cat"], np.array([[-1.0]])) == ""
    change[:, 1] = np.nan  # no picture of dog
    assert "hit hardest is “3” when cat is forgotten: −10.0" in sentences.collateral(NAMES, change) and "nan" not in sentences.collateral(NAMES, change)
    assert confusion.cell_text(np.nan) == ""
    before, after = np.r_[np.full(24, 0.9), np.nan], np.r_[0.0, np.full(22, 0.9), 0.1, np.nan]
    assert bars.shown_classes(before, after, 0)[:2] == [0, 23] and 24 not in bars.shown_classes(before, after, 0)


def test_names_in_figures_are_short_and_no_markup():
    assert style.label("cat") == "cat"
    assert style.label("<a href='x'>&</a>") == "&lt;a href='x'&gt;&amp;&lt;/a&gt;"
    assert len(style.label("x" * 99)) == 20


def test_numbers_are_written_alike():
    assert style.percent(0.97311) == "97.3 %"
    assert [style.points(v) for v in (0.009, -0.009, 0.0001, -0.0001)] == ["+0.9", "−0.9", "0.0", "0.0"]
    assert style.count(1, "picture") == "1 picture" and style.count(1234, "picture") == "1,234 pictures"
    assert style.join(["a"]) == "a" and style.join(["a", "b", "c"]) == "a, b and c" and style.join([]) == ""
    assert style.join(["a, plain", "b", "c"]) == "a, plain; b; c"


def test_figures_import_neither_streamlit_nor_torch():
    import subprocess
    import sys

    names = "bars, confusion, gates, graph, sentences, strip, style"
    code = f"import sys; from wfviz.figures import {names}; assert not {{'streamlit', 'torch'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

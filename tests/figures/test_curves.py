"""Insertion and deletion as figures and sentences."""

import numpy as np
import pytest

from wfviz.figures import curves as figures

FRACTIONS = np.array([0, 0.1, 0.5, 1], np.float32)
COUNTS = np.array([0, 4, 20, 40])
RUNS = {
    "gates": np.array([[0.1, 0.6, 0.9, 1.0]]),
    "random": np.array([[0.1, 0.1, 0.2, 1.0], [0.1, 0.3, 0.6, 1.0]]),
    "weight norm": np.array([[0.1, 0.2, 0.4, 1.0]]),
    "activation": np.array([[0.1, 0.3, 0.7, 1.0]]),
}
ROWS = {"conv1": np.linspace(0, 1, 4)[:, None] * np.ones((4, 6)), "fc1": np.ones((4, 34))}


def shown(figure, step: int) -> dict[int, object]:
    """Trace number -> what the frame says about it."""
    frame = next(f for f in figure.frames if f.name == str(step))
    return dict(zip(frame.traces, frame.data, strict=True))


def test_a_frame_for_every_step():
    figure = figures.curves_figure(FRACTIONS, RUNS, ROWS, "insertion", step=2)
    assert [f.name for f in figure.frames] == ["0", "1", "2", "3"]
    lengths = [[len(t.x) for t in shown(figure, s).values() if t.type == "scatter"] for s in range(4)]
    assert lengths == [[s + 1] * 4 + [4] for s in range(4)]
    for place, trace in shown(figure, 2).items():  # the figure stands where it was told to
        if trace.type == "scatter":
            assert np.array_equal(figure.data[place].y, trace.y)


def test_curves_and_heads_are_the_numbers():
    figure = figures.curves_figure(FRACTIONS, RUNS, ROWS, "insertion")
    *lines, heads, _ = shown(figure, 3).values()
    for line, runs in zip(lines, RUNS.values(), strict=True):
        assert np.allclose(line.y, 100 * runs.mean(0))
    assert np.allclose(heads.y, 100)
    band = figure.data[0]
    assert np.allclose(band.y[:4], 100 * RUNS["random"].max(0)) and np.allclose(band.y[4:], 100 * RUNS["random"].min(0)[::-1])


def test_row_of_gates_fills():
    figure = figures.curves_figure(FRACTIONS, RUNS, ROWS, "insertion")
    for step in range(4):
        z = [t for t in shown(figure, step).values() if t.type == "heatmap"][0].z[0]
        assert len(z) == 41 and np.isnan(z[6])  # a gap between the layers
        assert np.allclose(z[:6], step / 3, atol=1e-3) and np.allclose(z[7:], 1)
    heatmap = figure.data[-1]
    assert len(heatmap.x) == 42 and heatmap.x[-1] == pytest.approx(1)


def test_many_gates_are_pooled():
    rows = {f"layer{i}": np.random.default_rng(i).random((22, 1500)) for i in range(20)}
    fractions = np.linspace(0, 1, 22)
    runs = {order: np.ones((1, 22)) for order in figures.LOOKS}
    figure = figures.curves_figure(fractions, runs, rows, "deletion")
    assert len(figure.to_json()) < 700_000
    assert rows["layer0"][0, :15].mean() == pytest.approx(float(figure.frames[0].data[-1].z[0][0]), abs=1e-3)


def test_mean_over_classes_leaves_gaps_out():
    values = {"gates": np.array([[[0.0, 1.0], [np.nan, np.nan], [0.4, 1.0]]])}
    assert np.allclose(figures.of_class(values, None)["gates"], [[0.2, 1.0]])
    assert np.allclose(figures.of_class(values, 2)["gates"], [[0.4, 1.0]])
    assert np.isnan(figures.of_class({"gates": np.full((1, 2, 3), np.nan)}, None)["gates"]).all()


@pytest.mark.parametrize(
    ("run", "mode", "step"),
    [([0, 0.4, 0.6], "insertion", 2), ([0.7, 0.8, 1], "insertion", 0), ([1, 0.5, 0], "deletion", 1), ([1, 0.9, 0.8], "deletion", None)],
)
def test_crossing(run, mode, step):
    assert figures.crossing(np.array(run), mode) == step


def test_sentence_is_the_numbers():
    said = figures.carrying("cat", FRACTIONS, RUNS, COUNTS, "insertion")
    assert said == (
        "Opening 4 of 40 filters, those closed furthest for cat, brings 60.0 % of the confidence back; in random order half of it is back after 40. "
        "The area under the curve is 0.81 (ideal 1, at random 0.49)."
    )
    assert figures.carrying(None, FRACTIONS, RUNS, COUNTS, "insertion").startswith("On average over the classes, opening 4 of 40 filters")


def test_sentences_of_odd_curves():
    never = {"gates": np.array([[1, 0.9, 0.8, 0.7]])}
    assert "never takes half of the confidence away" in figures.carrying("cat", FRACTIONS, never, COUNTS, "deletion")
    kept = {"gates": np.array([[0.8, 0.9, 1, 1]])}
    assert "80.0 % of the confidence is still there" in figures.carrying("cat", FRACTIONS, kept, COUNTS, "insertion")
    worse = {"gates": np.array([[1, 0.6, 0.2, 0.0]]), "activation": np.array([[1, 0.1, 0.0, 0.0]])}
    said = figures.carrying("cat", FRACTIONS, worse, COUNTS, "deletion")
    assert "leaves 20.0 % of the confidence" in said and said.endswith(f"“most active first” ({figures.area(worse['activation'], FRACTIONS)[0]:.2f}) does as well or better.")
    gap = {"gates": np.full((1, 4), np.nan)}
    assert figures.carrying("cat", FRACTIONS, gap, COUNTS, "deletion") == "There was no picture of cat to measure the curves on."


def test_legend_says_the_areas():
    legend = {row["name"]: row["area"] for row in figures.area_words(RUNS, FRACTIONS)}
    areas = np.trapezoid(RUNS["random"], FRACTIONS)
    assert legend["random"] == f"{areas.mean():.2f} ± {areas.std():.2f}"
    assert legend["most closed first"] == "0.81"


def test_steps_in_words():
    words = figures.step_words(FRACTIONS, RUNS["gates"][0], COUNTS, "insertion")
    assert words[1] == "4 of 40 filters opened again (10.0 %): confidence 60.0 % of the original"

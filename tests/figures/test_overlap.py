"""Overlap of filters beside mix-ups: what is drawn, and what is said where there is nothing to compare."""

import numpy as np
import pytest

from wfviz.figures import overlap
from wfviz.relations import agreement

CLASSES = ["cat", "dog", "deer", "frog"]


@pytest.fixture
def shared():
    values = np.random.default_rng(0).random((4, 4))
    return (values + values.T) / 2


def test_the_diagonal_is_left_out_and_every_pair_is_named(shared):
    figure = overlap.pair_figure(shared, CLASSES, "overlap", range(4), forgotten=2)
    heat, *texts = figure.data
    z = np.asarray(heat.z, dtype=float)
    assert np.isnan(np.diagonal(z)).all() and z[0, 3] == pytest.approx(shared[0, 3], abs=1e-6)
    assert heat.customdata[1][2] == f"dog and deer: overlap {100 * shared[1, 2]:.1f} %"
    assert sum(len(t.x) for t in texts) == 12  # a number in every cell off the diagonal
    assert figure.layout.xaxis.ticktext[2] == "<b>deer</b>"


def test_of_many_classes_those_that_overlap_most_are_drawn_and_the_forgotten_one():
    values = np.zeros((100, 100))
    values[90, 91] = values[91, 90] = 0.5
    shown = overlap.shown_classes(values, forgotten=99)
    assert len(shown) == overlap.MOST_CLASSES and {90, 91, 99} <= set(shown) and shown == sorted(shown)
    assert overlap.shown_classes(values[:4, :4]) == [0, 1, 2, 3]


def test_words_say_how_well_they_agree(shared):
    said = overlap.words(CLASSES, shared, shared, agreement(shared, shared), "test")
    assert "clearly mixed up more often" in said and "Pearson +1.00, Spearman +1.00" in said
    opposite = 1 - shared
    alike = overlap.words(CLASSES, shared, shared, agreement(shared, shared), "test", cosine=True)
    assert "those whose rows are more alike are" in alike and f"are most alike, cosine {shared[np.triu_indices(len(shared), 1)].max():.2f};" in alike
    said = overlap.words(CLASSES, shared, opposite, agreement(shared, opposite), "test")
    assert "clearly mixed up less often" in said and "Spearman −1.00" in said


@pytest.mark.parametrize(
    ("classes", "shared", "mixed", "said"),
    [
        (2, np.ones((2, 2)), np.ones((2, 2)), "too few pairs"),
        (4, np.ones((4, 4)), np.zeros((4, 4)), "mixes up no two classes"),
        (4, np.ones((4, 4)), np.ones((4, 4)), "equally often"),
        (4, np.zeros((4, 4)), np.arange(16.0).reshape(4, 4), "share a filter"),
        (4, np.ones((4, 4)), np.arange(16.0).reshape(4, 4), "overlap equally"),
    ],
    ids=["few", "none", "equal", "unshared", "same"],
)
def test_nothing_to_compare(classes, shared, mixed, said):
    assert said in overlap.words(CLASSES[:classes], shared, mixed, (float("nan"), float("nan")), "test")

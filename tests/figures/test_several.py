"""Figures and sentences with several classes forgotten, and the palettes that a person may choose."""

import threading

import numpy as np
import pytest

from tests.figures.test_figures import VISIONS, contrast, seen
from wfviz.figures import attributions, bars, confusion, sentences, style

NAMES = ["cat", "dog", "3", "deer"]


@pytest.fixture(autouse=True)
def safe_afterwards():
    yield
    style.use_palette("safe")


def test_forgotten_classes_as_given():
    assert [style.several(f) for f in (None, 3, np.int64(3), (3, 5), [3, 5], ())] == [(), (3,), (3,), (3, 5), (3, 5), ()]


def test_sentences_name_all_of_them():
    assert sentences.named(NAMES, (0, 2, 1)) == "cat, “3” and dog"
    assert sentences.named(NAMES, None) == ""
    many = [f"kind {c}" for c in range(20)]
    assert sentences.named(many, range(8)).endswith("kind 6 and kind 7")
    assert sentences.named(many, range(12)).endswith("kind 6 and 5 more classes")
    counts, before, after = np.array([10, 20, 30, 40]), np.array([9, 19, 29, 40]), np.array([0, 1, 29, 36])
    assert sentences.forgetting(NAMES, counts, before, after, (0, 1)) == (
        "Of 30 pictures of cat and dog, 1 is still recognised (before: 28); "
        "the other classes lose 5.0 points on average, deer most: 10.0."
    )
    assert sentences.forgetting(NAMES, counts, before, before, ()).startswith("Nothing is forgotten")
    assert sentences.forgetting(NAMES, counts, before, after, range(4)).endswith("(before: 97).")
    assert sentences.taken_for(NAMES, np.array([0, 1, 3, 0]), (0, 1)) == "Pictures of cat and dog are now taken for “3” (75.0 %) and dog (25.0 %)."
    assert attributions.agreeing(NAMES, "grad-cam", 0, (0, 1), 0.5).startswith("With cat and dog forgotten, ")
    assert attributions.agreeing(NAMES, "grad-cam", 0, (), None).startswith("Nothing is forgotten")


def test_bars_show_them_first_and_bold():
    figure = bars.accuracy_bars(NAMES, np.ones(4), np.zeros(4), np.full(4, 5), (2, 1))
    assert figure.layout.xaxis.ticktext == ("<b>3</b>", "<b>dog</b>", "cat", "deer")
    assert figure.data[1].name == "3 and dog forgotten"
    assert len(bars.accuracy_bars(NAMES, np.ones(4), np.zeros(4), np.full(4, 5), ()).data) == 1
    assert bars.shown_classes(np.ones(100), np.ones(100), range(40)) == [*range(19), 40]
    assert sum("<b>" in t for t in bars.probability_bars(NAMES, np.full(4, 0.25), np.full(4, 0.25), (0, 3)).layout.yaxis.ticktext) == 2


def test_matrices_mark_every_row():
    figure = confusion.collateral_figure(np.zeros((4, 4)), NAMES, (3, 0))
    assert sorted(shape.y0 for shape in figure.layout.shapes) == [-0.5, 2.5]
    assert sum("<b>" in t for t in confusion.confusion_figure(np.zeros((4, 4)), np.zeros((4, 4)), NAMES, forgotten=(1, 2)).layout.yaxis.ticktext) == 2


def test_forgotten_classes_have_the_accent_in_every_palette():
    for name in style.PALETTES:
        style.use_palette(name)
        assert [style.class_color(c, 10, (2, 4)) == style.AFTER for c in range(6)] == [False, False, True, False, True, False]
        assert style.class_color(1, 10) == style.PALETTES[name][1]
        assert style.class_color(1, 13) == style.QUIET
    with pytest.raises(KeyError):
        style.use_palette("rainbow")


@pytest.mark.parametrize("color", style.PALETTES["tol muted"])
def test_tol_muted_holds_on_light_and_dark(color):
    assert contrast(color, "#FFFFFF") >= 2.3
    assert contrast(color, "#14161A") >= 2.9


@pytest.mark.parametrize("vision", VISIONS)
def test_tol_muted_is_told_apart(vision):
    colors = [seen(c, VISIONS[vision]) for c in (*style.PALETTES["tol muted"], style.AFTER)]
    assert min(np.linalg.norm(a - b) for i, a in enumerate(colors) for b in colors[:i]) > 5


def test_palettes_of_two_threads_do_not_mix():
    """Each session runs in a thread of its own."""
    met, found = threading.Barrier(2, timeout=10), {}

    def session(name: str) -> None:
        style.use_palette(name)
        met.wait()
        found[name] = style.class_color(0, 10)

    threads = [threading.Thread(target=session, args=(name,)) for name in ("tol muted", "greys")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: style.PALETTES[name][0] for name in ("tol muted", "greys")}
    assert style.class_color(0, 10) == style.CLASS_COLORS[0]

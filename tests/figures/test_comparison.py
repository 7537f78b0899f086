"""Figures and sentences of compared methods, against the numbers they are made from."""

from dataclasses import replace

import numpy as np
import pytest

from tests.comparison_fixture import write
from wfviz import scores
from wfviz.comparisons import read
from wfviz.figures import audit, comparison, style, verdicts
from wfviz.figures.units import short_bytes, short_seconds
from wfviz.figures.verdicts import NO, PARTLY, UNKNOWN, YES
from wfviz.scores import Evidence

NAN, NEVER = float("nan"), float("inf")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return read(write(tmp_path_factory.mktemp("comparison")))


def traces(*values, parts=("first", "retrain")):
    return [comparison.Trace(part, f"<{part}>", np.array(v)) for part, v in zip(parts, values, strict=True)]


@pytest.mark.parametrize("percent", [False, True])
def test_layers(percent):
    figure = comparison.layer_figure(("a", "b"), traces([0.25, NAN], [1, 0]), percent)
    assert figure.data[0].y == ((25, None) if percent else (0.25, None))
    assert figure.data[0].line.color == style.AFTER and figure.data[0].name == "&lt;first&gt;"
    assert figure.layout.xaxis.ticktext == ("a", "b")


def test_maps_share_their_axes_and_mark_the_forgotten_class():
    maps = [{"labels": [0, 1, 1], "x": [0, 1, 2], "y": [0, 0, 0]}, {"labels": [0], "x": [10], "y": [-5]}]
    ends = comparison.map_ends(maps)
    figures = [comparison.map_figure(one, ["a", "b"], 1, ends) for one in maps]
    assert {(f.layout.xaxis.range, f.layout.yaxis.range) for f in figures} == {(ends[0], ends[1])}
    assert ends[0][0] < 0 and ends[0][1] > 10 and ends[1][0] < -5 and ends[1][1] > 0
    last = figures[0].data[-1]
    assert last.name == "b" and last.marker.color == style.AFTER and last.x == (1, 2)
    assert all(trace.marker.color != style.AFTER for trace in figures[0].data[:-1])


def test_names_in_a_map_do_not_lie_on_each_other():
    ends = ((0.0, 10.0), (0.0, 10.0))
    places = np.array([[5.0, 5.0], [5.2, 5.1], [5.1, 4.6], [0.5, 5.0], [9.0, 9.0]])
    names = ["cat", "dog", "horse", "ship", "frog"]
    shifts = comparison.apart(places, names, ends)
    middle = places / 10 * (comparison.MAP_WIDTH, comparison.MAP_HEIGHT) + np.stack([np.zeros(5), shifts], 1)
    for i in range(5):
        for j in range(i):
            wide = comparison.LETTER * (len(names[i]) + len(names[j])) / 2
            assert abs(middle[i, 0] - middle[j, 0]) >= wide or abs(middle[i, 1] - middle[j, 1]) >= comparison.LINE_HEIGHT
    assert shifts[3:] == [0, 0] and shifts[1] == 0 and min(shifts) > -40  # the uppermost and those with room stay


def test_one_point_has_room():
    (low, high), _ = comparison.map_ends([{"x": [3.0], "y": [3.0]}])
    assert low < 3 < high


def test_prices_that_are_nothing_are_still_drawn():
    figure = comparison.price_figure(["a", "b"], np.array([[0, NAN], [2.0, 20]]), (1, 10), ["first", ""], [["0 s", "–"], ["2 s", "20 s"]], {1: "1 s"})
    assert 0 < figure.data[0].x[0] < 2 and figure.data[0].x[1] is None and figure.data[1].x == (2, 20)
    assert figure.data[1].customdata[1] == ["b", "20 s", "10 classes"] and figure.layout.xaxis.ticktext == ("1 s",)


def test_bars_show_the_mean_and_every_class():
    figure = audit.acc_f_bars(traces([0.0, 0.5], [NAN]), [["a", "b"], ["a"]])
    bar, dots, empty = figure.data
    assert bar.x == (25,) and dots.x == (0, 50) and dots.customdata == ("a", "b") and empty.x == (None,)


def test_relearning_ends_with_the_longest():
    figure = audit.relearning_figure(traces([0, 0.9], [0, 0.1, 0.2, 0.9]), 0.9, 100)
    assert figure.data[1].x == (0, 1, 2, 3) and figure.layout.xaxis.range[1] == pytest.approx(3.09)
    assert figure.layout.shapes[0].y0 == 90 and figure.layout.annotations[0].xanchor == "left"  # lines end at the goal on the right
    assert not audit.relearning_figure(traces([0], [0]), NAN, 0).layout.shapes
    assert figure.layout.xaxis.dtick == 1  # whole epochs, each once
    assert audit.relearning_figure(traces([0] * 30, [0]), 0.9, 100).layout.xaxis.dtick is None


@pytest.mark.parametrize(
    ("lines", "side"),
    [
        (([0, 0.95], [0, *[0.5] * 20]), "right"),  # one that is back at once, in a long chart
        (([0, 1.0], [0, *[0.5] * 99]), "right"),
        (([0, 0.95], [0.85] * 21), "right"),  # below the name
        (([0, 0.95], [0.5] * 15 + [0.9] * 6), "center"),  # one on either side
        (([0.92] * 21, [0] * 21), "left"),  # no room anywhere
    ],
)
def test_no_line_runs_through_the_name_of_the_goal_where_there_is_room(lines, side):
    assert audit.relearning_figure(traces(*lines), 0.9, 100).layout.annotations[0].xanchor == side


def test_attack_curves_stand_on_chance():
    figure = audit.roc_figure(scores.GRID, traces(scores.GRID, scores.GRID**0.5))
    assert figure.data[0].x == figure.data[0].y == (0, 1) and len(figure.data) == 3 and figure.data[2].y[25] == 0.5


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0 s"), (0.0036, "3.6 ms"), (0.00002, "0.02 ms"), (0.23, "230 ms"), (41.26, "41.3 s"), (59.99, "1 min"), (90, "1.5 min"), (7200, "2 h"), (3.6e6, "1,000 h"), (NAN, "–")]
)
def test_seconds(value, said):
    assert short_seconds(value) == said


@pytest.mark.parametrize(("value", "said"), [(0, "0 B"), (8, "8 B"), (1500, "1.5 kB"), (999_700, "1 MB"), (44.7e6, "44.7 MB"), (2e9, "2 GB"), (1e12, "1 TB"), (NAN, "–")])
def test_bytes(value, said):
    assert short_bytes(value) == said


# --- sentences ----------------------------------------------------------------------------------


def test_best_is_the_one_that_forgets_and_keeps_most(found):
    lines = scores.lines(found, "test")
    others = [line for line in lines if not line.reference]
    silent = [line for line in others if line.scores["Acc_f"].mean <= 0.01]
    top = max(silent, key=lambda line: line.scores["Acc_r"].mean)
    said = verdicts.best(lines, "over 3 forgotten classes")
    kept = f"{100 * top.scores['Acc_r'].mean:.1f} %"
    assert len(silent) == 1 and f"only {top.title} of 3 methods brings Acc_f to 1.0 % or less and keeps Acc_r at {kept}" in said
    alone = [line for line in lines if line.reference or line is top]
    assert f"Over 3 forgotten classes, {top.title} brings Acc_f" in verdicts.best(alone, "over 3 forgotten classes")
    two = verdicts.best([*lines, replace(top, title="Worse", scores={**top.scores, "Acc_r": replace(top.scores["Acc_r"], mean=0.5)})], "over 3 forgotten classes")
    assert f"2 of 4 methods bring Acc_f to 1.0 % or less; of these {top.title} keeps most of the other classes: Acc_r {kept}" in two
    assert "Random labels over-forgets" in said and "1 row failed" in said and said.startswith("Over 3")
    tied = [*lines, *(replace(top, title=name) for name in "ABC")]
    assert f"of these {top.title}, A, B and 1 more keep most of the other classes: Acc_r {kept}" in verdicts.best(tied, "over 3 forgotten classes")
    some = [replace(line, over=2) if line is top else line for line in lines]
    assert f"{top.title} (2 of {top.done} times)" in verdicts.best(some, "over 3 forgotten classes")


def test_best_of_all_rows(found):
    """What has finished fewer rows is not compared, and a share is judged as it is written."""
    lines = scores.lines(found, "test")
    top = next(line for line in lines if line.method == "wfnet")
    best = replace(top, title="One class", done=1, scores={**top.scores, "Acc_r": replace(top.scores["Acc_r"], mean=1.0), "Acc_f": replace(top.scores["Acc_f"], mean=0.0)})
    said = verdicts.best([*lines, best], "over 3 forgotten classes")
    assert f"SVD class forgetting and One class have not finished all {top.done} rows and are left aside" in said and "Acc_r at 100" not in said
    nearly = [line if line.reference else replace(line, scores={**line.scores, "Acc_f": replace(line.scores["Acc_f"], mean=0.01049)}) for line in lines]
    assert "does not bring" not in verdicts.best(nearly, "over 3 forgotten classes") and "None of" not in verdicts.best(nearly, "over 3 forgotten classes")


def test_best_where_none_forgets_and_where_none_finished(found):
    lines = [line for line in scores.lines(found, "test") if line.reference or line.method == "forget_gently"]
    assert "Forget <gently> does not bring Acc_f to 1.0 % for “3”: it reaches" in verdicts.best(lines, "for “3”")
    two = [*lines, replace(lines[-1], title="Other")]
    assert "None of 2 methods brings Acc_f to 1.0 %" in verdicts.best(two, "for “3”")
    assert verdicts.best(lines[:3], "for “3”").startswith("No method beside the references has finished for “3”")


ORIGINAL = Evidence("Original", 0.98, 0.9, 0, 0.56, acc_r=0.97)
RETRAINED = Evidence("Retrained", 0.0, 0.6, 10, 0.5)
BESIDE = {"original": ORIGINAL, "retrain": RETRAINED}


def own(**changes) -> Evidence:
    return Evidence(**({"title": "Mine", "acc_f": 0.0, "recall": 0.6, "epochs": 10.0, "auc": 0.5} | changes))


@pytest.mark.parametrize(("acc_f", "answer"), [(0, NO), (0.02, NO), (0.05, PARTLY), (0.1, PARTLY), (0.2, YES), (NAN, UNKNOWN)])
def test_recognised(acc_f, answer):
    found = verdicts.recognised(own(acc_f=acc_f), BESIDE, "test pictures of “3”")
    assert found.answer == answer and "original 98.0 %, retrained 0.0 %" in found.words


def test_a_mean_does_not_hide_a_class_that_is_still_there():
    found = verdicts.recognised(own(acc_f=0.01, worst_f=0.6, worst_class="9"), BESIDE, "x")
    assert found.answer == PARTLY and "still recognises 1.0 % of the x, at worst 60.0 % (“9”) (original" in found.words
    assert verdicts.recognised(own(acc_f=0.01, worst_f=0.05, worst_class="9"), BESIDE, "x").answer == NO


def test_a_class_whose_retraining_failed():
    """As without a retrained network: beside zero."""
    failed = {"retrain": replace(RETRAINED, acc_f=NAN)}
    assert [verdicts.recognised(own(acc_f=a), beside, "x").answer for beside in (failed, {}) for a in (0, 0.05, 0.5)] == [NO, PARTLY, YES] * 2


@pytest.mark.parametrize(("recall", "answer"), [(0.3, NO), (0.64, NO), (0.7, PARTLY), (0.84, PARTLY), (0.86, YES), (0.99, YES), (NAN, UNKNOWN)])
def test_inside(recall, answer):
    assert verdicts.inside(own(recall=recall), BESIDE, "features").answer == answer
    assert verdicts.inside(own(recall=recall), {"original": ORIGINAL}, "features").answer == UNKNOWN


def test_inside_where_the_retrained_is_no_lower_than_the_original():
    beside = {"original": ORIGINAL, "retrain": Evidence("Retrained", 0, 0.9, 10, 0.5)}
    assert [verdicts.inside(own(recall=r), beside, "features").answer for r in (0.8, 0.9, 0.96)] == [NO, UNKNOWN, YES]
    assert "so it cannot tell" in verdicts.inside(own(recall=0.9), beside, "features").words


@pytest.mark.parametrize(("epochs", "answer", "said"), [
    (1, YES, "after 1 epoch ("), (7.9, YES, "after 7.9 epochs"), (8, NO, "after 8 epochs"), (NEVER, NO, "never within 100 epochs"), (NAN, UNKNOWN, "not measured"),
])  # fmt: skip
def test_back(epochs, answer, said):
    found = verdicts.back(own(epochs=epochs), BESIDE, 100)
    assert found.answer == answer and said in found.words


def test_classes_that_never_came_back_are_told():
    beside = {"retrain": Evidence("Retrained", 0.0, 0.6, 81.0, 0.5, never=8, tried=10), "original": ORIGINAL}
    words = verdicts.back(own(epochs=21.5, never=2, tried=10), beside, 100).words
    assert words == "Relearned after at least 21.5 epochs, never for 2 of 10 (retrained at least 81, never for 8 of 10; original 0)."


@pytest.mark.parametrize(("never", "answer"), [(0, YES), (6, YES), (7, NO), (10, NO)])
def test_a_limit_that_was_reached_is_no_match(never, answer):
    """Where the retrained network never got 8 of 10 classes back, late is not enough: as many have to stay away."""
    beside = {"retrain": Evidence("Retrained", 0.0, 0.6, 9.0, 0.5, never=8, tried=10)}
    assert verdicts.back(own(epochs=8.8, never=never, tried=10), beside, 10).answer == answer


@pytest.mark.parametrize(("auc", "answer"), [(0.5, NO), (0.55, NO), (0.6, PARTLY), (0.7, YES), (NAN, UNKNOWN)])
def test_told(auc, answer):
    assert verdicts.told(own(auc=auc), BESIDE).answer == answer
    assert verdicts.told(own(auc=auc), BESIDE, worst="“8”").words.startswith("At “8”, the worst class of Mine, the strongest")


def test_a_few_pictures_tell_less():
    """What an attack that guesses reaches by chance betrays nothing."""
    assert verdicts.told(own(auc=0.62), BESIDE).answer == YES
    assert verdicts.told(own(auc=0.62, auc_error=0.04), BESIDE).answer == PARTLY
    assert verdicts.told(own(auc=0.62, auc_error=0.07), BESIDE).answer in (NO, UNKNOWN)


def test_an_attack_that_does_not_tell_of_the_original_tells_of_none():
    beside = {**BESIDE, "original": replace(ORIGINAL, auc=0.55)}
    found = verdicts.told(own(auc=0.55), beside)
    assert found.answer == UNKNOWN and found.words.endswith("it tells hardly more than of the retrained network, so it cannot tell.")
    assert verdicts.told(own(auc=0.58), beside).answer == PARTLY
    weak = beside["original"]
    assert verdicts.told(weak, beside).answer == UNKNOWN and "original" not in verdicts.told(weak, beside).words.split("(")[1].split(")")[0]


def four(evidence: Evidence, beside=None) -> dict:
    beside = BESIDE if beside is None else beside
    return {
        "recognised": verdicts.recognised(evidence, beside, "x"), "inside": verdicts.inside(evidence, beside, "features"),
        "back": verdicts.back(evidence, beside, 100), "told": verdicts.told(evidence, beside),
    }  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), [
    ({}, "as far as they reach, it is gone"), ({"recall": 0.9}, "silenced rather than gone"),
    ({"acc_f": 0.5}, "has not been forgotten"), ({"acc_f": 0.05}, "forgotten only in part"),
    ({"auc": NAN}, "On the 3 questions that could be asked"), ({"auc": NAN}, "Left open: can one tell it was there."),
])  # fmt: skip
def test_paragraph(changes, said):
    assert said in verdicts.paragraph(own(**changes), four(own(**changes)), {}, "“3”", False)


def test_paragraph_beside_logit_masking():
    masked = four(Evidence("Logit masking", 0, 0.9, 2, 0.5))
    shallow, deep = own(recall=0.9, epochs=2), own()
    assert "On none of the 4 questions that both could be asked does it do better than" in verdicts.paragraph(shallow, four(shallow), masked, "“3”", True)
    one = {key: verdict for key, verdict in masked.items() if key == "inside"}
    assert "On the one question that both could be asked it does no better than" in verdicts.paragraph(shallow, four(shallow), one, "“3”", True)
    assert "masking" not in verdicts.paragraph(deep, four(deep), {"recognised": masked["recognised"]}, "“3”", False)  # nothing could do better
    assert "better than masking the logit on 2 of 4 questions" in verdicts.paragraph(deep, four(deep), masked, "“3”", False)
    assert "with the gates open" in verdicts.paragraph(shallow, four(shallow), masked, "“3”", True)


def test_paragraph_of_a_network_that_lost_more_than_the_class():
    broken = own(acc_r=0.11, over=10, rows=10)
    said = verdicts.paragraph(broken, four(broken), {}, "“3”", False, original=ORIGINAL)
    assert "it is gone" not in said and "But the network has lost more than the class. It over-forgets 10 of 10 times: of the other classes 11.0 %" in said
    assert "are recognised, 97.0 % by the original." in said
    shallow = own(recall=0.9, acc_r=0.9, over=1, rows=1)
    said = verdicts.paragraph(shallow, four(shallow), {}, "“3”", False)
    assert "silenced rather than gone. It over-forgets: of the other classes 90.0 % are recognised." in said


def test_paragraph_of_another_class_at_worst():
    told = own(auc=0.7)
    assert "and the worst class “8” leaves traces that an attack finds." in verdicts.paragraph(told, four(told), {}, "“3”", False, worst="“8”")
    assert "worst class" not in verdicts.paragraph(told, four(told), {}, "“3”", False, worst="“3”")


def test_paragraph_without_a_retrained_network():
    said = verdicts.paragraph(own(), {k: v for k, v in four(own(), {}).items() if k != "recognised"}, {}, "“3”", False)
    assert "cannot be said" in said
    said = verdicts.paragraph(own(), four(own(), {}), {}, "“3”", False)
    assert "is not recognised any more. That is the only one of the four questions that could be answered." in said
    assert "retrained network stands" not in said

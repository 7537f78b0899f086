"""Stored comparisons: read, checked, and added up as an obvious loop would."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.comparison_fixture import METHODS, comparison, write
from wfviz import scores
from wfviz.comparisons import find, read, roots
from wfviz.errors import WfvizError


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return read(write(tmp_path_factory.mktemp("comparison")))


def test_found_once_and_only_with_a_file(tmp_path, monkeypatch):
    write(tmp_path / "a" / "one")
    write(tmp_path / "two")
    (tmp_path / "a" / "none").mkdir()
    assert [folder.name for folder in find(tmp_path, tmp_path / "a")] == ["one", "two"]
    monkeypatch.setenv("WFVIZ_COMPARISONS", f"{tmp_path / 'a'}")
    assert roots() == [tmp_path / "a"] and [folder.name for folder in find()] == ["one"]


def test_what_is_read(found):
    assert found.methods == ("original", "retrain", "logit_mask", "wfnet", "random_labels", "svd", "forget_gently")
    assert found.title("forget_gently") == "Forget <gently>" and found.short("retrain") == "Retrained"
    assert len(found.done("svd")) == 5 and len(found.failed("svd")) == 1 and not found.failed("wfnet")
    assert [row["seed"] for row in found.done("wfnet", 3)] == [0, 1]
    assert "js" not in found.done("retrain", 3)[1]  # null: not measured


def test_methods_without_a_finished_row(tmp_path):
    stored = comparison(methods=("original", "svd"), forget=(3,), seeds=(0,))
    (tmp_path / "comparison.json").write_text(json.dumps(stored))
    one = read(tmp_path)
    assert one.methods == ("original", "svd") and one.finished == ("original",)
    assert scores.lines(one, "test")[1].scores["Acc_r"] is None


def _cut(stored):
    del stored["classes"]


def _row(**changes):
    return lambda stored: stored["rows"][0].update(changes)


DAMAGE = {
    "no classes": (_cut, "'classes' is not"),
    "format": (lambda stored: stored.update(format=2), "format 2; this version"),
    "layers": (lambda stored: stored.update(layers="conv1"), "'layers' is not"),
    "no rows": (lambda stored: stored.update(rows=[]), "holds no rows yet"),
    "a row is no row": (lambda stored: stored["rows"].insert(0, "wfnet"), "the whole of row 1"),
    "state": (_row(state="busy"), "'state', 'method' or 'forget' of row 1"),
    "unknown method": (_row(method="other"), "of row 1"),
    "class out of range": (_row(forget=10), "of row 1"),
    "negative class": (_row(forget=-1), "of row 1"),
    "confusion": (lambda stored: stored["rows"][0]["splits"]["test"]["confusion"].pop(), "'confusion' of row 1"),
    "number as text": (_row(seconds="12"), "'seconds' of row 1"),
    "map": (lambda stored: stored["rows"][0]["map"]["x"].pop(), "'map' or 'curve' of row 1"),
    "label": (lambda stored: stored["rows"][0]["map"]["labels"].__setitem__(0, 99), "'map' or 'splits' of row 1"),
    "no splits": (_row(splits={}), "'map' or 'splits' of row 1"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_in_a_sentence(tmp_path, name):
    damage, said = DAMAGE[name]
    stored = comparison(methods=("wfnet",), forget=(3,), seeds=(0,))
    damage(stored)
    (tmp_path / "comparison.json").write_text(json.dumps(stored))
    with pytest.raises(WfvizError, match=said) as error:
        read(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", "[" * 10_000, "\ud800".encode("utf-16", "surrogatepass")])
def test_no_json(tmp_path, text):
    (tmp_path / "comparison.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WfvizError, match="comparison.json"):
        read(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(WfvizError, match="no comparison"):
        read(tmp_path)


# --- adding up ----------------------------------------------------------------------------------


def slow(found, method: str, forget=None) -> dict[str, list]:
    """Acc_f and Acc_r counted from the confusion matrices, one row after the other: name -> [(value, class)]."""
    values = {"Acc_f": [], "Acc_r": []}
    for row in found.rows:
        if row["method"] != method or row["state"] != "done" or forget not in (None, row["forget"]):
            continue
        right = kept = all_kept = 0
        for c, line in enumerate(row["splits"]["test"]["confusion"]):
            if c == row["forget"]:
                right = line[c] / sum(line)
            else:
                kept, all_kept = kept + line[c], all_kept + sum(line)
        values["Acc_f"].append((right, str(row["forget"])))
        values["Acc_r"].append((kept / all_kept, str(row["forget"])))
    return values


@pytest.mark.parametrize("forget", [None, 3])
def test_lines_are_what_a_loop_finds(found, forget):
    for line in scores.lines(found, "test", forget):
        for name, pairs in slow(found, line.method, forget).items():
            numbers = [value for value, _ in pairs]
            mean = sum(numbers) / len(numbers)
            worst = (max if name == "Acc_f" else min)(numbers)
            assert line.scores[name].mean == pytest.approx(mean)
            assert line.scores[name].std == pytest.approx((sum((v - mean) ** 2 for v in numbers) / len(numbers)) ** 0.5)
            assert line.scores[name].worst == pytest.approx(worst)
            assert line.scores[name].worst_class in [c for value, c in pairs if value == worst]
        assert line.failed == (line.method == "svd" and forget is None)
        assert line.over == (line.done if METHODS[line.method][4] < 0.95 else 0)


def test_relearning_that_never_ends_counts_as_its_limit(found):
    never = scores.lines(found, "test")[-1].scores["relearn"]
    assert (never.mean, never.never, never.n) == (12, 6, 6)
    assert np.isinf(scores.evidence(found, "forget_gently", "test", found.done("forget_gently")).epochs)
    assert scores.evidence(found, "wfnet", "test", found.done("wfnet")).epochs == 2


def test_the_rate_of_relearning(found):
    """Older rows do not name it."""
    assert found.relearn_lr == 1e-3
    assert replace(found, rows=({"state": "failed"}, {"relearn": {"lr": 1e-4}})).relearn_lr == 1e-4


def test_an_attack_below_chance_tells_as_much():
    assert scores.strongest({"attack": {"confidence": 0.2, "loss": 0.7}}) == pytest.approx(0.8)
    assert np.isnan(scores.strongest({}))


def test_the_error_of_an_attack_that_guesses():
    """Against the spread over 4,000 draws."""
    def row(c, m):
        return {"forget": c, "attack": {}, "splits": {"test": {"confusion": [[m - 1, 1], [2, m - 2]]}}}

    draws = np.random.default_rng(0)
    aucs = [np.mean(draws.random(36)[:, None] > draws.random(36)[None]) for _ in range(4000)]
    assert scores.guessing([row(0, 36)]) == pytest.approx(np.std(aucs), rel=0.05)
    assert scores.guessing([row(0, 36), row(1, 36)]) == pytest.approx(scores.guessing([row(0, 36)]) / 2**0.5)
    assert scores.guessing([{"forget": 0, "splits": {}}]) == scores.guessing([]) == 0


def test_worst_case_is_one_class_for_all(found):
    """The class that is told best by its mean over seeds; every other network is then attacked on the same."""
    means = {c: np.mean([scores.strongest(row) for row in found.done("wfnet", c)]) for c in (0, 3, 7)}
    worst = max(means, key=means.get)
    assert scores.most_attacked(found.done("wfnet")) == worst and scores.most_attacked([]) is None
    assert scores.evidence(found, "wfnet", "test", found.done("wfnet", 3), found.done("wfnet", worst)).auc == pytest.approx(means[worst])
    other = np.mean([scores.strongest(row) for row in found.done("retrain", worst)])
    assert scores.evidence(found, "retrain", "test", found.done("retrain", 3), found.done("retrain", worst)).auc == pytest.approx(other)
    assert scores.evidence(found, "wfnet", "test", found.done("wfnet", 3)).auc == pytest.approx(np.mean([scores.strongest(r) for r in found.done("wfnet", 3)]))


def test_references_stay_on_top(found):
    lines = scores.lines(found, "test")
    for what in scores.SCORES:
        names = [line.method for line in scores.ordered(lines, what.name)]
        means = [line.scores[what.name].mean for line in scores.ordered(lines, what.name)[3:]]
        assert names[:3] == ["original", "retrain", "logit_mask"]
        assert means == sorted(means, reverse=what.better == scores.HIGHER)
        ends = [line.scores[what.name].worst for line in scores.ordered(lines, what.name, worst=True)[3:]]
        assert ends == sorted(ends, reverse=what.better == scores.HIGHER)
    assert scores.ordered(lines, None) == lines


def test_rows_that_stand_beside_each_other(found):
    """The same classes and seeds; a method that shares none with the first is left aside."""
    every = {(c, seed) for c in (0, 3, 7) for seed in (0, 1)}
    assert scores.common(found, ("wfnet", "retrain", "original")) == every and scores.common(found, ("wfnet", "retrain"), 3) == {(3, 0), (3, 1)}
    fewer = replace(found, rows=tuple(row for row in found.rows if row["method"] != "retrain" or (row["forget"], row["seed"]) == (7, 1)))
    assert scores.common(fewer, ("wfnet", "retrain", "original")) == {(7, 1)} == scores.common(fewer, ("retrain", "wfnet"))
    assert scores.common(fewer, ("wfnet", "retrain"), 3) == {(3, 0), (3, 1)} and scores.common(fewer, ("svd", "wfnet")) == {(0, 0), (0, 1), (3, 0), (3, 1), (7, 0)} | scores.common(fewer, ("svd",))


def test_prices_count_the_shared_round_once(found):
    assert scores.numbers(found) == (1, 10)
    price = next(p for p in scores.prices(found) if p.method == "wfnet")
    each = sum(row["seconds"] for row in found.done("wfnet")) / 6
    assert price.seconds == pytest.approx([41 + each, 41 + 10 * each]) and price.bytes == pytest.approx([1500, 15000])
    assert "original" in found.finished and "original" not in [p.method for p in scores.prices(found)]  # it forgets nothing


def test_evidence_names_the_worst_class_and_what_it_cost(found):
    """Over several classes; of one there is no worst."""
    rows = found.done("random_labels")
    worst = max(rows, key=lambda row: row["splits"]["test"]["acc_f"])
    all_, one = (scores.evidence(found, "random_labels", "test", found.done("random_labels", c)) for c in (None, 3))
    assert all_.worst_f == worst["splits"]["test"]["acc_f"] and all_.worst_class == found.classes[worst["forget"]]
    assert all_.acc_r == pytest.approx(np.mean([row["splits"]["test"]["acc_r"] for row in rows])) and (all_.over, all_.rows) == (6, 6)
    assert np.isnan(one.worst_f) and one.worst_class == "" and (one.over, one.rows) == (2, 2)


def test_curves_are_means(found):
    rows = found.done("wfnet", 3)
    for i, layer in enumerate(found.layers):
        assert scores.by_layer(rows, "probe", found.layers)[i] == pytest.approx(sum(r["probe"][layer] for r in rows) / 2)
    assert np.isnan(scores.by_layer(rows, "probe", ["conv9"])).all()
    assert scores.confusion(rows, "test").sum() == 2 * 360 and scores.confusion(rows, "val") is None
    short, long = {"relearn": {"accuracy": [0, 1]}}, {"relearn": {"accuracy": [0, 0.2, 0.6]}}
    assert scores.relearning([short, long, {}]) == pytest.approx([0, 0.6, 0.8]) and not len(scores.relearning([{}]))


def test_attack_curves_are_averaged_at_equal_false_alarms():
    steps = {"attack": {"curve": {"fpr": [0, 0, 0.5, 0.5, 1], "tpr": [0, 0.4, 0.4, 1, 1]}}}
    line = {"attack": {"curve": {"fpr": [0, 1], "tpr": [0, 1]}}}
    mean = scores.roc([steps, line, {}])
    assert mean[[0, -1]] == pytest.approx([0, 1]) and mean[50] == pytest.approx((1 + 0.5) / 2)
    assert (np.diff(mean) >= 0).all() and scores.roc([{}]) is None


def test_an_attack_below_chance_is_turned_round():
    below = {"attack": {"curve": {"fpr": [0, 0.6, 1], "tpr": [0, 0, 1]}}}
    assert scores.roc([below])[[20, 39, 40, 70]] == pytest.approx([0.5, 0.975, 1, 1])

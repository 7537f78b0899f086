"""The report: whole, offline, small, and made of the checkpoint's own numbers."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from wfviz import checkpoints
from wfviz.errors import WfvizError
from wfviz.figures.style import percent
from wfviz.files import write_json
from wfviz.metrics.accuracy import acc_f, acc_r
from wfviz.report import make_report

SHIPPED = Path("checkpoints/digits-cnn")
VOID = {"meta", "line", "polyline", "br"}


class Balanced(HTMLParser):
    """Fails on a tag that is closed out of turn; keeps every address that would be fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched = [], []

    def handle_starttag(self, tag, attributes):
        self.fetched += [v for k, v in attributes if k in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report():
    return make_report(SHIPPED)


def test_it_is_one_small_offline_document_without_scripts(report):
    parser = Balanced()
    parser.feed(report)
    assert not parser.open and not parser.fetched
    assert "<script" not in report and "url(" not in report and "@import" not in report
    assert len(report.encode()) < 5 * 2**20


def test_it_holds_the_numbers_the_definitions_and_what_to_check(report):
    card, evaluation = checkpoints.read_card(SHIPPED), checkpoints.read_evaluation(SHIPPED)
    for value in (*acc_r(evaluation, "test"), *acc_f(evaluation, "test")):
        assert percent(value) in report
    for told in (*card["digests"].values(), card["command"], f"Seed: {card['seed']}", "The weights are unchanged", "Insertion AUC", "ideal: 0"):
        assert str(told) in report
    assert len(re.findall(r"<tr><th scope=\"row\">", report)) == 10 * (1 + 1 + 10)  # collateral, nothing, every class


def test_it_begins_with_what_was_forgotten(report):
    evaluation, curves = checkpoints.read_evaluation(SHIPPED), checkpoints.read_curves(SHIPPED)
    assert "What was forgotten" not in report
    told = make_report(SHIPPED, (3, 5))
    part = told[told.index("What was forgotten") : told.index("How well is each class forgotten?")]
    assert told.index("What was forgotten") < told.index("How well is each class forgotten?")
    assert "“3” and “5” were forgotten together" in part and "<h3>3</h3>" in part and "<h3>5</h3>" in part
    for c in (3, 5):
        pictures, left = evaluation.counts["test"][c], evaluation.correct["test"][1 + c, c]
        assert f"Of {pictures} pictures of “{c}”, {'none is' if left == 0 else left} " in part
        assert f"Insertion AUC {curves.auc('insertion', 'gates')[:, c].mean():.3f}" in part
        assert f"random {curves.auc('deletion', 'random')[:, c].mean():.3f}" in part
    assert "were forgotten together" not in make_report(SHIPPED, (3,))
    assert "report checkpoints/digits-cnn --forget 3,5 --out report.html" in told and "--forget" not in report
    assert "evaluate checkpoints/digits-cnn --split test --curves 50\n" in told and "evaluate checkpoints/digits-cnn --split train\n" in told


def test_its_commands_evaluate_as_it_was_evaluated(tmp_path):
    """Not as the command that made the network did, and where it lies now."""
    folder = tmp_path / "again"
    shutil.copytree(SHIPPED, folder)
    card = checkpoints.read_card(folder)
    card["metrics"]["test"]["pictures"], card["curves"]["per_class"] = 50, 2
    write_json(folder / checkpoints.CARD, card)
    assert f"evaluate {folder} --split test --limit 50 --curves 2\n" in make_report(folder)


def test_nobody_is_hit_where_nobody_loses(tmp_path):
    """And where all classes are alike none is the worst."""
    folder = tmp_path / "own"
    shutil.copytree(SHIPPED, folder)
    found = checkpoints.read_evaluation(folder)
    for c in range(10):  # forgotten without a trace, at no cost
        found.correct["test"][1 + c] = found.correct["test"][0]
        found.correct["test"][1 + c, c] = 0
    checkpoints.save_evaluation(folder, found, keep=False)
    card = checkpoints.read_card(folder)
    card["metrics"]["test"]["acc_f"] |= {"mean": 0.0, "std": 0.0, "worst": 0.0, "worst_class": "0"}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    told = make_report(folder)
    assert told.count("<td>none</td>") == 10 and "0.0 % ± 0.0</td>" in told and "worst “0”: 0.0 %" not in told


@pytest.mark.parametrize("more", ["--fancy 3", "'"])
def test_a_command_that_this_version_does_not_know(more, tmp_path, capfd):
    shutil.copytree(SHIPPED, tmp_path / "wf")
    card = checkpoints.read_card(tmp_path / "wf")
    (tmp_path / "wf" / "card.json").write_text(json.dumps({**card, "command": f"{card['command']} {more}"}))
    assert "wfviz evaluate" in make_report(tmp_path / "wf") and not "".join(capfd.readouterr())


def test_two_classes_one_without_pictures(tmp_path, card):
    """Nobody else is left to be hit."""
    from wfviz.metrics.accuracy import Evaluation
    from wfviz.report import _classes

    counts, correct = np.array([10, 0]), np.array([[9, 0], [0, 0], [9, 0]])
    confusion = np.array([[[9, 1], [0, 0]], [[0, 10], [0, 0]], [[9, 1], [0, 0]]])
    found = Evaluation(counts={"test": counts}, correct={"test": correct}, confusion={"test": confusion}, taken_for={"test": confusion[[1, 2], [0, 1]]})
    assert "<td>none</td>" in _classes(found, "test", ["cat", "dog"], {"conv": {"weight": np.ones((2, 3))}})


def test_class_names_are_escaped(tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(SHIPPED, folder)
    card = (folder / "card.json").read_text().replace('"classes": [\n  "0"', '"classes": [\n  "<b>&"')
    (folder / "card.json").write_text(card)
    assert "<b>&" not in make_report(folder) and "&lt;b&gt;&amp;" in make_report(folder)


def test_without_curves_it_says_how_to_make_them_and_without_evaluation_too(tmp_path):
    folder = tmp_path / "own"
    shutil.copytree(SHIPPED, folder)
    checkpoints.save_evaluation(folder, checkpoints.read_evaluation(folder), keep=False)
    assert f"python -m wfviz evaluate {folder}" in make_report(folder)
    (folder / "evaluation.npz").unlink()
    with pytest.raises(WfvizError, match="evaluate"):
        make_report(folder)

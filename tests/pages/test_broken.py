"""Damaged or missing checkpoints and data: a sentence, never a traceback."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pages.conftest import PAGES, ROOT, widget
from wfviz import checkpoints
from wfviz.errors import WfvizError
from wfviz.ui.words import sentence

SHIPPED = ROOT / "checkpoints" / "digits-cnn"
ALL_PAGES = pytest.mark.parametrize("page", PAGES)


@pytest.fixture
def copied(tmp_path) -> Path:
    """A folder of checkpoints with one copy of digits-cnn that may be damaged."""
    shutil.copytree(SHIPPED, tmp_path / "digits-cnn")
    return tmp_path


def change_card(root: Path, **values) -> None:
    path = root / "digits-cnn" / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@ALL_PAGES
def test_no_network_at_all(open_page, shown, tmp_path, page):
    test = open_page(page, checkpoints=tmp_path)
    assert not test.exception
    assert "There is no network yet" in shown(test)


@ALL_PAGES
def test_damaged_card_is_named_and_skipped(open_page, shown, copied, page):
    shutil.copytree(SHIPPED, copied / "second")
    (copied / "second" / "card.json").write_text('{"format": 1, "clas')
    test = open_page(page, checkpoints=copied)
    assert not test.exception
    assert "card.json is damaged" in shown(test)
    assert widget(test, "selectbox", "network").options == ["digits-cnn"]


@ALL_PAGES
def test_truncated_weights(open_page, copied, page):
    weights = copied / "digits-cnn" / "wfnet.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    test = open_page(page, checkpoints=copied, forget="3")
    assert not test.exception
    assert any("wfnet.safetensors" in w.value for w in [*test.warning, *test.error])


@ALL_PAGES
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_evaluation_missing_or_damaged(open_page, shown, copied, page, damage):
    stored = copied / "digits-cnn" / "evaluation.npz"
    stored.write_bytes(stored.read_bytes()[:200])
    if damage == "missing":
        stored.unlink()
    test = open_page(page, checkpoints=copied, forget="3")
    assert not test.exception
    if page != "filters":
        assert "python -m wfviz evaluate" in shown(test)


@pytest.mark.parametrize("page", ["forget", "before_after"])
def test_data_set_that_is_not_here(open_page, shown, copied, page, monkeypatch, tmp_path):
    monkeypatch.setenv("WFVIZ_DATA", str(tmp_path / "empty"))
    change_card(copied, data={"dataset": "mnist", "seed": 0})
    test = open_page(page, checkpoints=copied, forget="3", true="3", taken="3")
    assert not test.exception
    assert "pictures of mnist are not on this machine" in shown(test)
    assert not (tmp_path / "empty").exists()


def test_card_without_metrics(open_page, copied):
    change_card(copied, metrics={}, parameters={})
    assert not open_page("forget", checkpoints=copied, forget="3").exception


@ALL_PAGES
def test_everything_but_the_backbone(open_page, shown, copied, page):
    """What needs no forward pass is shown; what does says the command that brings the network."""
    folder = copied / "digits-cnn"
    stored = (folder / "evaluation.npz").read_bytes()
    checkpoints.save(checkpoints.load(folder, "cpu"), folder, {**checkpoints.read_card(folder), "backbone_from": "runs/none"}, with_backbone=False)
    (folder / "evaluation.npz").write_bytes(stored)
    test = open_page(page, checkpoints=copied, forget="3")
    assert not test.exception
    assert ("not the backbone; `python -m wfviz" in shown(test)) == (page == "forget")
    for more in ({"true": "3", "taken": "3"}, {"layer": "fc1", "isolate": "filter 5"}, {"also": ["5"]}):
        test = open_page(page, checkpoints=copied, forget="3", **more)
        assert not test.exception and "not on this machine" not in shown(test)
        asked = {"before_after": ("true", "also"), "filters": ("isolate",), "forget": ("true", "isolate", "also")}.get(page, ())
        assert ("not the backbone; `python -m wfviz" in shown(test)) == any(key in more for key in asked)


def test_commands_stay_code_and_nothing_else_does():
    assert sentence(WfvizError("a_b: `python -m wfviz info a_b` tells")) == "A\\_b: `python -m wfviz info a_b` tells."
    assert sentence(WfvizError("`x*` and `python -m wfviz *a")) == "\\`x\\*\\` and \\`python -m wfviz \\*a."

"""What a comparison measures where its samples hold few pictures of the forgotten class."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wfviz import backbones, checkpoints
from wfviz.data import forget_set, load_data
from wfviz.metrics import forgetting
from wfviz.metrics.forgetting import Judge
from wfviz.metrics.privacy import attacks
from wfviz.pictures import normalize
from wfviz.specs import BackboneSpec

DIGITS = Path(__file__).parents[2] / "checkpoints" / "digits-cnn"


@pytest.fixture
def judge(monkeypatch):
    """A hundred training pictures are looked at: about ten of each class."""
    monkeypatch.setattr(forgetting, "TRAIN", 100)
    spec = BackboneSpec("cnn", 10, 1, 8)
    return Judge(checkpoints.load_backbone(DIGITS, spec).eval().requires_grad_(False), load_data("digits"), spec, relearn_epochs=0)


def test_members_come_from_the_whole_split(judge):
    sides = [forget_set(split, (3,)) for split in (judge.data.train, judge.data.test)]
    x = [normalize(side.take(torch.arange(len(side))), judge.data.inputs) for side in sides]
    with torch.no_grad():
        (members, others), (y, z) = [judge.original(side) for side in x], [side.labels for side in sides]
    slow, found = attacks(members, y, others, z), judge.judge(judge.original, (3,))["attack"]
    assert len(y) > 100 and all(found[name] == pytest.approx(slow[name], abs=1e-3) for name in ("confidence", "entropy", "loss"))


def test_a_class_the_probe_never_saw_has_no_recall(judge):
    assert all(0 <= recall <= 1 for recall in judge.judge(judge.original, (3,))["probe"].values())
    judge.fitted = judge.fitted[judge.train.labels[judge.fitted] != 3]
    assert judge.judge(judge.original, (3,))["probe"] == {} and judge.judge(judge.original, (4,))["probe"]


@pytest.mark.parametrize("left", [0, 1])
def test_what_too_few_pictures_do_not_allow_is_left_out(left):
    """A class with hardly a test picture still has its row."""
    data = load_data("digits")
    kept = torch.cat([(data.test.labels != 3).nonzero()[:, 0], (data.test.labels == 3).nonzero()[:left, 0]])
    few = replace(data, test=data.test.subset(kept))
    net = backbones.build(BackboneSpec("cnn", 10, 1, 8)).eval().requires_grad_(False)
    row = Judge(net, few, BackboneSpec("cnn", 10, 1, 8), relearn_epochs=1).judge(net, (3,), net)
    assert "attack" not in row and ("zrf" in row) == ("relearn" in row) == bool(left)
    assert (row["splits"]["test"]["acc_f"] is None) == (not left) and row["splits"]["test"]["acc_r"] is not None


def test_the_curve_is_that_of_the_strongest_attack(monkeypatch):
    """Also where that is the one with shadow networks."""
    data, spec = load_data("digits"), BackboneSpec("cnn", 10, 1, 8)
    nets = [backbones.build(spec).eval().requires_grad_(False) for _ in range(3)]
    monkeypatch.setattr(forgetting, "lira", lambda logits, *_: -np.arange(len(logits), dtype=float))
    attack = Judge(nets[0], data, spec, relearn_epochs=0).judge(nets[0], (3,), shadows=nets[1:])["attack"]
    curve = attack["curve"]
    assert attack["lira"] > 0.9 and curve["attack"] == "lira"
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(attack["lira"], abs=1e-3)


def test_what_takes_long_is_told(judge):
    parts: list[float] = []
    judge.relearn_epochs = 2
    judge.judge(judge.original, (3,), progress=parts.append)
    assert len(parts) > 2 and parts == sorted(parts) and parts[-1] == 1

"""What a comparison measures where its samples hold few pictures of the forgotten class."""

from pathlib import Path

import pytest
import torch

from wfviz import checkpoints
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

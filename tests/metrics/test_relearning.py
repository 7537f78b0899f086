"""Relearning on digits: at once, after a few epochs, never; and the loop written out."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from wfviz.checkpoints import load_backbone, read_card
from wfviz.data import Pictures, load_data, of_classes
from wfviz.errors import WfvizError
from wfviz.metrics import relearning
from wfviz.metrics.relearning import HARMLESS, Relearning, after_an_epoch, harmless_rate, relearn
from wfviz.pictures import normalize
from wfviz.pretraining import accuracy_of
from wfviz.specs import BackboneSpec
from wfviz.training import generator

CLASS = 3


@pytest.fixture(scope="module")
def data():
    return load_data("digits")


@pytest.fixture(scope="module")
def original():
    folder = "checkpoints/digits-cnn"
    return load_backbone(folder, BackboneSpec.from_dict(read_card(folder)["backbone"])).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def judged(data):
    return data.test.subset(of_classes(data.test, (CLASS,)).nonzero()[:, 0])


@pytest.fixture(scope="module")
def goal(original, data, judged):
    return accuracy_of(original, judged, data.inputs)


@pytest.fixture
def silenced(original):
    """Its head is closed for the class, as forgetting at the output does."""
    net = copy.deepcopy(original)
    with torch.no_grad():
        net.fc3.weight[CLASS] = 0
        net.fc3.bias[CLASS] = -10
    return net


def test_what_was_never_forgotten_takes_no_epoch(original, data, goal):
    found = relearn(original, data.train, data.test, (CLASS,), data.inputs, goal=goal)
    assert found == Relearning(0, (goal,), goal) and goal > 0.9


@pytest.mark.parametrize("right", range(30, 37))
def test_a_goal_in_single_precision_is_the_same_goal(original, data, judged, right, monkeypatch):
    """978 of 980 is more in float32 than in float64: the original itself would never reach it."""
    monkeypatch.setattr(relearning, "accuracy_of", lambda *_: right / 36)
    single = float(torch.tensor([1.0] * right + [0.0] * (36 - right)).mean())
    assert relearn(original, data.train, judged, (CLASS,), data.inputs, goal=single).epochs == 0
    assert relearn(original, data.train, judged, (CLASS,), data.inputs, goal=(right + 1) / 36, epochs=0).epochs is None


def test_a_silenced_class_comes_back_and_the_network_stays(silenced, data, goal):
    before, parts = copy.deepcopy(silenced.state_dict()), []
    found = relearn(silenced, data.train, data.test, (CLASS,), data.inputs, goal=goal - 0.05, epochs=30, lr=3e-3, progress=parts.append)
    assert found.accuracy[0] == 0 and 1 <= found.epochs < 30
    assert len(found.accuracy) == found.epochs + 1 and found.accuracy[-1] >= goal - 0.05 > max(found.accuracy[:-1])
    assert parts == sorted(parts) and parts[-1] == 1
    assert all(torch.equal(v, before[k]) for k, v in silenced.state_dict().items())
    assert not any(p.requires_grad for p in silenced.parameters()) and not silenced.training


def test_a_hopeless_one_is_told_by_none(silenced, data, goal):
    with torch.no_grad():  # nothing passes the first layer, and no gradient comes back
        silenced.conv1.weight.zero_()
        silenced.conv1.bias.fill_(-1)
        silenced.conv2.bias.fill_(-1)
    found = relearn(silenced, data.train, data.test, (CLASS,), data.inputs, goal=goal, epochs=3)
    assert found.epochs is None and len(found.accuracy) == 4 and max(found.accuracy) < goal


def test_the_loop_written_out(silenced, data, judged):
    """Two epochs of 70 pictures, in batches of 32, by Adam."""
    torch.nn.init.zeros_(silenced.fc3.bias)  # so that few steps show
    found = relearn(silenced, data.train, judged, (CLASS,), data.inputs, goal=2, epochs=2, samples=70, batch_size=32, lr=2e-2, seed=4)
    net = copy.deepcopy(silenced).requires_grad_(True)
    opt = torch.optim.Adam(net.parameters(), lr=2e-2)
    slow = [accuracy_of(net, judged, data.inputs)]
    for epoch in (1, 2):
        order = torch.randperm(len(data.train), generator=generator(4, epoch, relearning.STREAM))[:70].tolist()
        for start in range(0, 70, 32):
            indices = order[start : start + 32]
            opt.zero_grad()
            F.cross_entropy(net(normalize(data.train.pixels[indices], data.inputs)), data.train.labels[indices]).backward()
            opt.step()
        slow.append(accuracy_of(net, judged, data.inputs))
    assert found.epochs is None and found.accuracy == pytest.approx(tuple(slow)) and len(set(slow)) > 1


def test_every_epoch_draws_other_pictures(silenced, data, monkeypatch):
    drawn = []
    real = Pictures.take
    monkeypatch.setattr(Pictures, "take", lambda self, i: drawn.append(tuple(i.tolist())) or real(self, i))
    relearn(silenced, data.train, data.val, (CLASS,), data.inputs, goal=2, epochs=3, samples=50, batch_size=50)
    epochs = [d for d in drawn if len(d) == 50]
    assert len(set(epochs)) == 3 and all(len(set(d)) == 50 for d in epochs)


def test_the_rate_is_the_largest_that_the_original_survives(original, data, monkeypatch):
    """What was relearned at another rate would be what that rate destroyed."""
    before = accuracy_of(original, data.val, data.inputs)
    assert harmless_rate(original, data) == 1e-3
    assert after_an_epoch(original, 1e-3, data.train, data.val, data.inputs) >= before - HARMLESS
    assert after_an_epoch(original, 0.3, data.train, data.val, data.inputs) < before - 0.5
    for rates, right in (((1.0, 0.3, 1e-3, 1e-4), 1e-3), ((0.3, 0.1), 0.1)):  # the last one where none will do
        monkeypatch.setattr(relearning, "RATES", rates)
        assert harmless_rate(original, data) == right


def test_few_validation_pictures_do_not_choose_a_rate(original, data, monkeypatch):
    """One of five is more than 0.05; then training pictures do."""
    seen = []
    real = relearning.accuracy_of
    monkeypatch.setattr(relearning, "accuracy_of", lambda net, pictures, inputs: seen.append(len(pictures)) or real(net, pictures, inputs))
    for n, judged in ((5, 1000), (len(data.val), len(data.val))):
        seen.clear()
        assert harmless_rate(original, replace(data, val=data.val.sample(n))) == 1e-3 and set(seen) == {judged}


def test_an_epoch_is_that_of_relearning(original, data, judged):
    slow = relearn(original, data.train, judged, (CLASS,), data.inputs, goal=2, epochs=1, lr=3e-3, seed=2).accuracy[1]
    assert after_an_epoch(original, 3e-3, data.train, judged, data.inputs, seed=2) == slow


def test_without_pictures_of_the_class(original, data):
    without = data.train.subset((data.train.labels != CLASS).nonzero()[:, 0])
    with pytest.raises(WfvizError, match="cannot be relearned"):
        relearn(original, without, data.test, (CLASS,), data.inputs, goal=1)
    with pytest.raises(WfvizError, match="cannot be judged"):
        relearn(original, data.train, without, (CLASS,), data.inputs, goal=1)

"""Deep forgetting: how well features tell a class, and the steps that take one class at a time."""

import math

import numpy as np
import pytest
import torch

from wfviz import checkpoints
from wfviz.backbones import CNN
from wfviz.data import Pictures, load_data
from wfviz.deep import RIDGE, HeadInput, one_class, separability
from wfviz.pictures import normalize
from wfviz.specs import UntrainSpec
from wfviz.training import make_accelerator
from wfviz.untraining import untrain, validate


@pytest.mark.parametrize(("gone", "kept"), [(20, 20), (10, 35)])
def test_separability_is_a_ridge_regression(gone, kept):
    """scikit-learn's, with every side weighing one half and features scaled to a mean variance of 1."""
    from sklearn.linear_model import Ridge

    torch.manual_seed(0)
    a, b = torch.randn(gone, 5, dtype=torch.float64) + torch.tensor([1.0, 0, 0.5, 0, 0]), 2 * torch.randn(kept, 5, dtype=torch.float64)
    x, y = torch.cat([a, b]).numpy(), np.r_[np.ones(gone), -np.ones(kept)]
    weight = np.r_[np.full(gone, 0.5 / gone), np.full(kept, 0.5 / kept)]
    x = x - np.average(x, axis=0, weights=weight)
    x = x / np.sqrt(np.average(x**2, axis=0, weights=weight).mean())
    fitted = Ridge(alpha=RIDGE, fit_intercept=False).fit(x, y, sample_weight=weight)
    along = (weight * y) @ x @ fitted.coef_
    assert float(separability(a, b)) == pytest.approx(-0.5 * math.log(1 - along), rel=1e-4)


def test_separability_of_alike_and_of_apart():
    torch.manual_seed(0)
    one = torch.randn(4000, 3)
    alike, apart = separability(one[:2000], one[2000:]), separability(one[:2000], one[2000:] + 30)
    assert 0 <= alike < 0.01 and apart > 1 and separability(one[:3], one[3:]) == 0


def test_features_that_tell_move_together():
    """A few steps down the gradient, and the class is told less."""
    torch.manual_seed(0)
    gone, kept = (torch.randn(50, 4) + 3).requires_grad_(True), torch.randn(50, 4)
    before = separability(gone, kept)
    for _ in range(20):
        (gradient,) = torch.autograd.grad(separability(gone, kept), gone)
        gone = (gone - 20 * gradient).detach().requires_grad_(True)
    assert separability(gone, kept) < 0.7 * before


def test_the_head_is_overheard_while_it_is_entered():
    net = CNN(10, 1, 8).eval()
    x = torch.randn(3, 1, 8, 8)
    with HeadInput(net, 10) as head:
        logits = net(x)
        assert torch.equal(net.fc3(head.features), logits) and head.features.shape == (3, 64)
    assert not net.fc3._forward_pre_hooks


def test_steps_of_one_class():
    labels = torch.arange(300) % 3
    pictures = Pictures(torch.zeros(300, 1, 2, 2, dtype=torch.uint8), labels)
    turns = [one_class(pictures, 3, 20, 2, 0, step, (0, 1)) for step in range(9)]
    for gone, kept, c in turns:
        assert (labels[gone] == c).all() and (labels[kept] != c).all()
        assert len(gone) == 10 and len(kept.unique()) == len(kept) <= 20
    assert all(sorted(c for _, _, c in turns[i : i + 3]) == [0, 1, 2] for i in (0, 3, 6))
    halves = [one_class(pictures, 3, 20, 2, 0, 4, (i, 2)) for i in range(2)]
    assert sorted(torch.cat([h[0] for h in halves]).tolist()) == sorted(turns[4][0].tolist())
    assert one_class(pictures.subset(torch.arange(9)), 3, 128, 3, 0, 0, (0, 1))[0].shape == (3,)


def test_the_preset_makes_features_tell_less(tmp_path):
    data, net = load_data("digits"), checkpoints.load("checkpoints/digits-cnn")
    spec = UntrainSpec.preset("deep", steps=150, layers=("conv*", "fc1", "fc2"))
    with torch.no_grad():
        for alpha in net.alpha_parameters():
            alpha.fill_(3.0)
    net.requires_grad_(False)
    for alpha in net.alpha_parameters():
        alpha.requires_grad_(True)
    before = validate(net, data.val, spec)
    about = untrain(net, data, spec, tmp_path, make_accelerator("cpu"), show=False)
    assert about["state"] == "done" and about["validation"]["told"] < 0.9 * before["told"]
    x, told = normalize(data.val.pixels, data.inputs), []
    with torch.no_grad(), HeadInput(net.backbone, 10) as head:
        for c in range(10):
            net(x, forget=c)
            told.append(float(separability(head.features[data.val.labels == c], head.features[data.val.labels != c])))
    assert np.mean(told) == pytest.approx(about["validation"]["told"], rel=0.25)

"""The objective and its losses, written out sample by sample."""

import math

import pytest
import torch

from wfviz.backbones import CNN
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.objective import FORGET, RETAIN, check_losses, mean_gate, mean_middle, objective, teacher
from wfviz.specs import UntrainSpec

C = 10
AS_PAPER = {"forget_loss": "reciprocal", "retain_loss": "labels", "lambda_middle": 0.0}


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 0.1), (0.5, 10.0, 2.0, 0.0), (0.0, 0.0, 3.0, 1.0)], ids=str)
def test_the_objective_by_hand(weights):
    retain, forget, gates, epsilon = weights
    spec = UntrainSpec(lambda_retain=retain, lambda_forget=forget, lambda_gates=gates, epsilon=epsilon, **AS_PAPER)
    logits, labels = torch.randn(7, 4, dtype=torch.float64), torch.randint(0, 4, (7,))
    forgets, gate = torch.tensor([True, False, False, True, False, True, False]), torch.tensor(0.8, dtype=torch.float64)
    kept, gone = [], []
    for row, label, own in zip(logits.tolist(), labels.tolist(), forgets.tolist(), strict=True):
        ce = math.log(sum(math.exp(v) for v in row)) - row[label]
        (gone if own else kept).append(ce)
    kept, gone = sum(kept) / 4, sum(1 / (ce + epsilon) for ce in gone) / 3
    loss, parts = objective(logits, labels, forgets, gate, spec)
    assert loss.item() == pytest.approx(retain * kept + forget * gone + gates * 0.2, rel=1e-5)
    assert parts == pytest.approx({"retain": kept, "forget": gone, "closed": 0.2}, rel=1e-5)


def test_a_memorised_picture_does_not_explode():
    logits = torch.tensor([[1000.0, 0.0], [0.0, 1.0]], requires_grad=True)
    loss, _ = objective(logits, torch.tensor([0, 0]), torch.tensor([True, False]), torch.tensor(1.0), UntrainSpec(**AS_PAPER))
    loss.backward()
    assert loss.item() < 20 and torch.isfinite(logits.grad).all()


def test_the_mean_of_all_gates(roughen):
    net = roughen(WFNet(CNN(C, 1, 8), C, ("conv*", "fc*")))
    every = [g for kinds in net.gates().values() for gate in kinds.values() for g in gate.flatten().tolist()]
    assert mean_gate(net).item() == pytest.approx(sum(every) / len(every))
    assert mean_middle(net).item() == pytest.approx(sum(4 * g * (1 - g) for g in every) / len(every))


@pytest.mark.parametrize("retain_loss", RETAIN)
@pytest.mark.parametrize("forget_loss", FORGET)
def test_every_loss_by_hand(forget_loss, retain_loss):
    spec = UntrainSpec(forget_loss=forget_loss, retain_loss=retain_loss, lambda_retain=0.7, lambda_forget=1.3, lambda_gates=0.0, lambda_middle=0.5)
    logits, before = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    labels, rows = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 1, 0, 2, 2, 2])
    kept, gone = [], []
    for i, (label, row) in enumerate(zip(labels.tolist(), rows.tolist(), strict=True)):
        p = [math.exp(v) / sum(map(math.exp, logits[i].tolist())) for v in logits[i].tolist()]
        others = {c: math.exp(before[i, c]) for c in range(3) if c != row}
        distance = sum(v / sum(others.values()) * math.log(v / sum(others.values()) / p[c]) for c, v in others.items())
        if label == row:
            gone.append({"reciprocal": 1 / (0.1 - math.log(p[label])), "unlikelihood": -math.log(1 - p[label]), "teacher": distance}[forget_loss])
        else:
            kept.append({"labels": -math.log(p[label]), "teacher": distance}[retain_loss])
    target = teacher(before, rows)
    loss, parts = objective(logits, labels, rows == labels, torch.tensor(1.0), spec, target=target, middle=0.25)
    assert loss.item() == pytest.approx(0.7 * sum(kept) / len(kept) + 1.3 * sum(gone) / len(gone) + 0.125, rel=1e-4)
    assert parts["retain"] == pytest.approx(sum(kept) / len(kept), rel=1e-4)


@pytest.mark.parametrize("forget_loss", FORGET)
def test_every_forget_loss_falls_as_the_class_does(forget_loss):
    """Also from and to probabilities that a float cannot tell from 1 and 0."""
    spec, labels = UntrainSpec(forget_loss=forget_loss, lambda_gates=0.0), torch.tensor([0, 1])
    target = teacher(torch.tensor([[9.0, 1.0, 0.0]] * 2), labels)
    losses = []
    for logit in (200.0, 5.0, 1.0, 0.0, -2.0, -200.0):
        logits = torch.tensor([[logit, 0.0, -1.0], [0.0, 1.0, 0.0]], requires_grad=True)
        loss, parts = objective(logits, labels, torch.tensor([True, False]), torch.tensor(1.0), spec, target=target)
        loss.backward()
        assert torch.isfinite(logits.grad).all()
        losses.append(parts["forget"])
    assert losses == sorted(losses, reverse=True)


def test_the_teacher_knows_everything_but_the_class():
    before = torch.randn(5, 4)
    found = teacher(before, torch.tensor([0, 1, 2, 3, 0]))
    assert torch.allclose(found.sum(1), torch.ones(5)) and found[range(5), [0, 1, 2, 3, 0]].tolist() == [0] * 5
    assert torch.allclose(found[0, 2] / found[0, 1], (before[0, 2] - before[0, 1]).exp())


@pytest.mark.parametrize("field", ["forget_loss", "retain_loss"])
def test_an_unknown_loss(field):
    with pytest.raises(WfvizError, match="teacher"):
        check_losses(UntrainSpec(**{field: "teachr"}))

"""Concepts, the labels that are poisoned by them, and the parts that RUM makes of a forget set."""

import sys

import pytest
import torch
from torch import nn

from wfviz import methods
from wfviz.data import forget_set, retain_set
from wfviz.errors import WfvizError
from wfviz.methods import rum
from wfviz.methods.concept_poisoning import concepts, penultimate, poisoned, profiles
from wfviz.pictures import normalize


def test_what_the_head_reads(original, few):
    found = penultimate(original, original.fc3, few.train, few.inputs)
    torch.testing.assert_close(original.fc3(found), original(normalize(few.train.pixels, few.inputs)))


def test_attributions_of_a_linear_head_are_its_terms():
    """Integrated gradients are exact there: weight times (feature − baseline)."""
    head, features, targets = nn.Linear(5, 3), torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    baseline = features.mean(0, keepdim=True)
    slow = head.weight[targets] * (features - baseline)
    torch.testing.assert_close(concepts(head, features, targets, baseline), slow.clamp_min(0).detach())


def test_attributions_of_a_head_that_is_a_convolution():
    head, features, targets = nn.Conv2d(5, 3, 1), torch.randn(4, 5, 2, 2), torch.tensor([0, 2, 1, 2])
    baseline = features.mean(0, keepdim=True)
    slow = (head.weight[targets, :, 0, 0] * (features - baseline).mean((2, 3))).clamp_min(0)
    torch.testing.assert_close(concepts(head, features, targets, baseline), slow.detach(), atol=1e-5, rtol=1e-4)


def test_without_captum_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(WfvizError, match="pip install captum"):
        concepts(nn.Linear(2, 2), torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), torch.zeros(1, 2))


def test_the_targeted_label_is_the_class_with_the_same_concepts():
    """Class 0 uses features 0 and 1, class 1 feature 1, class 2 feature 2; class 3 has no pictures."""
    attributions = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 4.0]])
    labels = torch.tensor([0, 0, 1, 2])
    known = profiles(attributions, labels, 4)
    torch.testing.assert_close(known[0], torch.tensor([3.0, 4.0, 0.0]) / 5)
    assert known[3].abs().sum() == 0
    random = torch.tensor([2, 2])
    assert poisoned(attributions[:2], labels[:2], known, (0,), 1.0, random).tolist() == [1, 1]
    assert poisoned(attributions[:2], labels[:2], known, (0,), 0.5, random).tolist() == [2, 1]  # the second is nearer to class 1
    assert poisoned(attributions[:2], labels[:2], known, (0,), 0.0, random).tolist() == [2, 2]
    assert poisoned(attributions[:3], labels[:3], known, (0, 1), 1.0, torch.tensor([3, 3, 3])).tolist()[:2] == [2, 2]


# --- RUM ----------------------------------------------------------------------------------------


def test_parts_of_equal_size_by_confidence():
    sure = torch.tensor([0.1, 0.9, 0.5, 0.8, 0.2, 0.7, 0.3])
    parts = rum.refine(sure, 3)
    assert [part.tolist() for part in parts] == [[1, 3, 5], [2, 6], [4, 0]]
    assert [len(part) for part in rum.refine(sure[:2], 5)] == [1, 1]


def test_parts_by_features():
    """Two clouds; the more confident one comes first."""
    features = torch.cat([torch.randn(5, 3), torch.randn(4, 3) + 20])
    parts = rum.refine(torch.tensor([0.2] * 5 + [0.9] * 4), 2, features)
    assert [sorted(part.tolist()) for part in parts] == [[5, 6, 7, 8], [0, 1, 2, 3, 4]]


def test_the_confidence_is_that_of_the_own_label(original, few):
    found = rum.confidence(original, few.train, few.inputs)
    p = original(normalize(few.train.pixels, few.inputs)).softmax(1)
    torch.testing.assert_close(found, torch.stack([p[i, y] for i, y in enumerate(few.train.labels.tolist())]))


def test_a_part_stands_alone_beside_the_whole_retain_set(few):
    whole, part = forget_set(few.train, (3,)), torch.tensor([0, 2])
    some = rum.only(few, (3,), part)
    assert torch.equal(forget_set(some.train, (3,)).pixels, whole.pixels[part])
    assert torch.equal(retain_set(some.train, (3,)).pixels, retain_set(few.train, (3,)).pixels)


def test_every_part_is_unlearned_once(monkeypatch, original, few):
    seen = []

    def note(model, forget, data, spec, progress):
        seen.append((len(forget_set(data.train, forget)), (spec.steps, spec.lr)))
        progress(1.0)
        return model

    inner = methods.get("salun")
    monkeypatch.setattr(rum, "get", lambda name: inner.__class__(**{**vars(inner), "unlearn": note}))
    method, parts = methods.get("rum"), []
    for by in ("confidence", "features"):
        method.run(original, (3,), few, method.spec(by=by, parts=2), parts.append)
    total = len(forget_set(few.train, (3,)))
    assert [sum(n for n, _ in seen[i : i + 2]) for i in (0, 2)] == [total, total] and len(seen) == 4
    assert {how for _, how in seen} == {(inner.settings["steps"] // 2, 1e-3)} and parts == [0.5, 1.0, 0.5, 1.0]
    seen.clear()
    method.run(original, (3,), few, method.spec(parts=3, steps=30, lr=1e-4))
    assert [how for _, how in seen] == [(10, 1e-4)] * 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"inner": "wfnet"}, "take a method that fine-tunes"), ({"inner": "original"}, "take a method"), ({"inner": "rum"}, "take a method"),
     ({"inner": "salum"}, "did you mean salun"), ({"by": "size"}, "confidence or features"), ({"parts": 0}, "at least one part")],
)
def test_settings_that_cannot_be(settings, said, original, few):
    method = methods.get("rum")
    with pytest.raises(WfvizError, match=said):
        method.run(original, (3,), few, method.spec(**settings))

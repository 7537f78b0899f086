"""The evaluation against counting picture by picture."""

import numpy as np
import pytest
import torch

from wfviz.data import Pictures
from wfviz.metrics import accuracy
from wfviz.metrics.accuracy import Evaluation, acc_f, acc_r, evaluate, per_class_accuracy, spread, summary
from wfviz.pictures import normalize

C, N = 10, 18


@pytest.fixture
def pictures():
    draw = torch.Generator().manual_seed(0)
    return Pictures(torch.randint(0, 256, (N, 1, 8, 8), dtype=torch.uint8, generator=draw), torch.arange(N) % (C - 1))


@pytest.fixture
def slow(net, pictures) -> np.ndarray:
    """[C + 1, C, C], one picture at a time."""
    confusion = np.zeros((C + 1, C, C), int)
    for i in range(N):
        x, y = normalize(pictures.pixels[i : i + 1], net.inputs), int(pictures.labels[i])
        for state in range(C + 1):
            confusion[state, y, int(net(x, forget=None if state == 0 else state - 1).argmax())] += 1
    return confusion


def check(found: Evaluation, slow: np.ndarray) -> None:
    assert found.splits == ("test",)
    np.testing.assert_array_equal(found.confusion["test"], slow)
    np.testing.assert_array_equal(found.counts["test"], slow[0].sum(1))
    np.testing.assert_array_equal(found.correct["test"], [[slow[s, c, c] for c in range(C)] for s in range(C + 1)])
    np.testing.assert_array_equal(found.taken_for["test"], [slow[1 + c, c] for c in range(C)])


@pytest.mark.parametrize("batch_size", [7, 64])
def test_counted_one_by_one(net, pictures, slow, batch_size):
    done = []
    check(evaluate(net, pictures, "test", batch_size=batch_size, progress=done.append), slow)
    assert sum(done) == N * (C + 1)


def test_several_processes_count_the_same(net, pictures, slow):
    """Every process counts its share; the sum of their counts is what one process counts."""
    shares = [[], [], []]
    for index in range(3):
        evaluate(net, pictures, "test", share=(index, 3), reduce=lambda t, index=index: shares[index].append(t) or t)
    rounds = iter([sum(parts) for parts in zip(*shares, strict=True)])
    check(evaluate(net, pictures, "test", share=(0, 3), reduce=lambda _: next(rounds)), slow)


def test_gates_that_learn_are_evaluated_without_a_graph(net, pictures, slow):
    net.requires_grad_(True)
    seen = []
    net.register_forward_hook(lambda _module, _inputs, logits: seen.append(logits.requires_grad))
    check(evaluate(net, pictures, "test"), slow)
    assert not any(seen)


def test_no_confusion_matrices_of_very_many_classes(net, pictures, slow, monkeypatch):
    monkeypatch.setattr(accuracy, "WHOLE_CONFUSION", C - 1)
    found = evaluate(net, pictures, "test")
    assert found.confusion == {}
    np.testing.assert_array_equal(found.counts["test"], slow[0].sum(1))
    np.testing.assert_array_equal(found.taken_for["test"], [slow[1 + c, c] for c in range(C)])


def test_acc_r_and_acc_f_by_hand(net, pictures, slow):
    found = evaluate(net, pictures, "test")
    per_class, kept, forgotten = per_class_accuracy(found, "test"), acc_r(found, "test"), acc_f(found, "test")
    for c in range(C):
        others = [k for k in range(C) if k != c]
        assert kept[c] == pytest.approx(sum(slow[1 + c, k, k] for k in others) / sum(slow[0, k].sum() for k in others))
        if slow[0, c].sum():
            assert forgotten[c] == pytest.approx(slow[1 + c, c, c] / slow[0, c].sum())
            assert per_class[0, c] == pytest.approx(slow[0, c, c] / slow[0, c].sum())
    assert np.isnan(forgotten[C - 1]) and np.isnan(per_class[:, C - 1]).all()  # the class without pictures
    made = summary(found, "test", net.classes)
    there = forgotten[: C - 1]
    assert made["pictures"] == N and made["accuracy"] == pytest.approx(np.trace(slow[0]) / N)
    assert made["acc_f"] == pytest.approx({"mean": there.mean(), "std": there.std(), "worst": there.max(), "worst_class": str(there.argmax())})
    assert made["acc_r"] == pytest.approx({"mean": kept.mean(), "std": kept.std(), "worst": kept.min(), "worst_class": str(kept.argmin())})
    original = [(np.trace(slow[0]) - slow[0, c, c]) / (N - slow[0, c].sum()) for c in range(C)]
    assert made["original_acc_r"]["mean"] == pytest.approx(np.mean(original))
    assert made["acc_r_change"]["worst"] == pytest.approx((kept - original).min())


@pytest.mark.filterwarnings("error")
def test_pictures_of_a_single_class(net, pictures):
    only = pictures.subset((pictures.labels == 3).nonzero()[:, 0])
    made = summary(evaluate(net, only, "test"), "test", net.classes)
    assert made["acc_f"]["worst_class"] == "3" and made["pictures"] == len(only)


def test_spread_names_the_worst():
    values = np.array([0.5, np.nan, 0.25, 1.0])
    assert spread(values, ("a", "b", "c", "d"), np.argmin) == pytest.approx({"mean": 1.75 / 3, "std": np.std([0.5, 0.25, 1.0]), "worst": 0.25, "worst_class": "c"})
    assert spread(values, ("a", "b", "c", "d"), np.argmax)["worst_class"] == "d"

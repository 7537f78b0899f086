"""Gradients, masks, and the methods that learn under one."""

import copy

import pytest
import torch
import torch.nn.functional as F

from wfviz import methods
from wfviz.data import forget_set
from wfviz.errors import WfvizError
from wfviz.methods.masks import gradients, top_share
from wfviz.methods.selective import penalty, relevance
from wfviz.pictures import normalize


@pytest.fixture
def learning(original):
    """A copy of the network that learns."""
    return copy.deepcopy(original).requires_grad_(True)


def changed(before, after) -> tuple[int, int]:
    """(weights that differ, all weights)."""
    pairs = [(value, after.state_dict()[name]) for name, value in before.state_dict().items()]
    return sum(int((a != b).sum()) for a, b in pairs), sum(a.numel() for a, _ in pairs)


def test_gradients_add_up_over_batches(learning, few):
    pictures = few.train.sample(10)
    found = gradients(learning, pictures, few.inputs, lambda z, y: F.cross_entropy(z, y, reduction="sum"), batch_size=4)
    F.cross_entropy(learning(normalize(pictures.pixels, few.inputs)), pictures.labels, reduction="sum").backward()
    for name, parameter in learning.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, atol=1e-5, rtol=1e-4)


def test_gradients_one_picture_at_a_time(learning, few):
    pictures = few.train.sample(3)
    found = gradients(learning, pictures, few.inputs, lambda z, y: z.gather(1, y[:, None]).mean(), each=torch.abs, batch_size=1)
    slow = 0
    for x, y in zip(normalize(pictures.pixels, few.inputs), pictures.labels, strict=True):
        slow += torch.autograd.grad(learning(x[None])[0, y], learning.fc2.weight)[0].abs()
    torch.testing.assert_close(found["fc2.weight"], slow)


def test_a_share_of_the_weights_is_chosen():
    scores = {"a": torch.tensor([[5.0, 1.0], [4.0, 0.0]]), "b": torch.tensor([3.0, 2.0])}
    assert {n: m.tolist() for n, m in top_share(scores, 0.5).items()} == {"a": [[True, False], [True, False]], "b": [True, False]}
    equal = {"a": torch.zeros(7), "b": torch.zeros(3)}
    for share, count in ((0.0, 1), (0.3, 3), (1.0, 10)):
        assert sum(int(m.sum()) for m in top_share(equal, share).values()) == count


@pytest.mark.parametrize(("name", "settings"), [("salun", {}), ("selective", {"samples": 20})])
def test_only_the_chosen_share_learns(name, settings, original, few):
    method = methods.get(name)
    out = method.run(original, (3,), few, method.spec(share=0.1, steps=3, **settings))
    differ, total = changed(original, out)
    assert 0.08 * total < differ <= round(0.1 * total)  # a few of the chosen have no gradient


def test_salun_learns_where_the_forget_set_pulls(original, learning, few):
    x = normalize(forget_set(few.train, (3,)).pixels, few.inputs)
    F.cross_entropy(learning(x), torch.full((len(x),), 3)).backward()
    pull = torch.cat([p.grad.abs().flatten() for p in learning.parameters()])
    salun = methods.get("salun")
    out = salun.run(original, (3,), few, salun.spec(share=0.1, steps=2))
    moved = torch.cat([(a != b).flatten() for a, b in zip(original.parameters(), out.parameters(), strict=True)])
    assert pull[moved].min() >= pull.quantile(0.899)


# --- selective ----------------------------------------------------------------------------------


def test_the_penalty_is_the_improbability_of_the_other_classes():
    logits = torch.randn(6, 5, dtype=torch.float64)
    for forget in ((2,), (0, 4)):
        p = logits.softmax(1)[:, list(forget)].sum(1)
        torch.testing.assert_close(penalty(logits, forget), -(1 - p).log())
    sure = torch.tensor([[100.0, 0.0, 0.0]], requires_grad=True)
    (pull,) = torch.autograd.grad(penalty(sure, (0,)).sum(), sure)
    assert pull[0, 0] > 0.99  # where p is 1 its own gradient would be 0


def test_relevance_is_a_ratio(learning, few):
    some = few.train.sample(20)
    same = relevance(learning, some, some, few.inputs)
    assert all((0 <= s).all() and (s < 1).all() for s in same.values())
    other = relevance(learning, forget_set(few.train, (3,)), some, few.inputs)["fc3.weight"].mean(1)
    assert other.argmax() == 3  # the row of the head that makes class 3


def test_relevance_does_not_give_a_small_batch_more_say(learning, data):
    """Twelve pictures behind a whole batch count as twelve."""
    gone, kept = data.train.sample(140), data.train.sample(140, seed=1)

    def slow(pictures):
        x, total = normalize(pictures.pixels, data.inputs), 0
        for part in (slice(0, 128), slice(128, None)):
            own = learning(x[part])[range(len(x[part])), pictures.labels[part]]
            total = total + torch.autograd.grad(own.sum(), learning.fc3.weight)[0].abs()
        return total / len(pictures)

    there, elsewhere = slow(gone), slow(kept)
    found = relevance(learning, gone, kept, data.inputs)["fc3.weight"]
    torch.testing.assert_close(found, there / (elsewhere + elsewhere.mean()), rtol=1e-3, atol=1e-6)


def test_the_class_is_reassigned(original, data):
    selective = methods.get("selective")
    x = normalize(forget_set(data.test, (6,)).pixels, data.inputs)
    for reassign in (3, 8):
        out = selective.run(original, (6,), data, selective.spec(reassign=reassign, steps=30, samples=50))
        assert (out(x).argmax(1) == reassign).float().mean() > 0.9


@pytest.mark.parametrize(("reassign", "said"), [(6, "nothing can be reassigned to it"), (10, "classes 0 to 9"), (-2, "classes 0 to 9")])
def test_a_class_that_nothing_can_be_reassigned_to(reassign, said, original, few):
    selective = methods.get("selective")
    with pytest.raises(WfvizError, match=said):
        selective.run(original, (6,), few, selective.spec(reassign=reassign))

"""The projections against the decomposition they stand for, the patches against loops."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wfviz import methods
from wfviz.errors import WfvizError
from wfviz.methods import svd
from wfviz.methods.svd import factor, judges, onto_forgotten, patches, projectable, score, second_moments, without_retained
from wfviz.pictures import normalize


def rows(layer, x, limit=10**6):
    return patches(layer, x, limit, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 3, 3, padding=1),
        nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(0, 2)),
        nn.Conv2d(2, 3, 3, dilation=2, padding="same"),
        nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
        nn.Linear(5, 3),
    ],
    ids=str,
)
def test_the_patches_are_what_the_filters_read(layer):
    """The products of all patches with the weight are, in any order, the layer's outputs."""
    x = torch.randn(4, 2, 7, 5, dtype=torch.float64)
    layer.double()
    found = rows(layer, x) @ layer.weight.flatten(1).T + layer.bias
    wanted = layer(x).movedim(1, -1).flatten(0, -2) if isinstance(layer, nn.Conv2d) else layer(x).flatten(0, -2)
    assert found.shape == wanted.shape
    assert torch.cdist(found, wanted).min(1).values.max() < 1e-6 and torch.cdist(wanted, found).min(1).values.max() < 1e-6


def test_patches_one_by_one():
    layer, x = nn.Conv2d(2, 1, 3, stride=2, padding=1), torch.randn(2, 2, 5, 5)
    padded = F.pad(x, (1, 1, 1, 1))
    slow = {tuple(padded[b, :, i : i + 3, j : j + 3].flatten().tolist()) for b in range(2) for i in (0, 2, 4) for j in (0, 2, 4)}
    assert {tuple(row.tolist()) for row in rows(layer, x)} == slow
    some = {tuple(row.tolist()) for row in rows(layer, x, limit=4)}
    assert len(some) == 4 and some < slow


def literal(a: torch.Tensor, alpha: float) -> torch.Tensor:
    """P as Kodge et al. write it, from the singular value decomposition of the activations a [n, D]."""
    _, s, vh = torch.linalg.svd(a, full_matrices=True)
    variance = torch.zeros(a.shape[1], dtype=a.dtype)
    variance[: len(s)] = s**2 / (s**2).sum()
    return vh.T @ torch.diag(alpha * variance / ((alpha - 1) * variance + 1)) @ vh


@pytest.mark.parametrize("n", [4, 30], ids=["fewer samples than features", "more"])
@pytest.mark.parametrize(("alpha_r", "alpha_f"), [(1.0, 1.0), (100.0, 3.0), (1000.0, 30.0)])
def test_the_weights_are_those_of_the_decomposition(n, alpha_r, alpha_f):
    retained, forgotten, weight = (torch.randn(k, 9, dtype=torch.float64) for k in (n, n, 5))
    c_r, c_f = (a.T @ a / (a.T @ a).trace() for a in (retained, forgotten))
    eye = torch.eye(9, dtype=torch.float64)
    p_dis = literal(forgotten, alpha_f) @ (eye - literal(retained, alpha_r))
    left = without_retained(weight, c_r, alpha_r)
    found = weight - onto_forgotten(left, c_f, alpha_f, factor(c_f, alpha_f))
    torch.testing.assert_close(found, weight @ (eye - p_dis).T)


def test_what_only_the_class_uses_goes_and_what_the_others_use_stays():
    """With spaces at right angles and a large α, a filter loses the forgotten directions alone."""
    basis = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    c_r, c_f = basis[:, :3] @ basis[:, :3].T / 3, basis[:, 3:5] @ basis[:, 3:5].T / 2
    weight, alpha = torch.randn(4, 6, dtype=torch.float64), 1e9
    found = weight - onto_forgotten(without_retained(weight, c_r, alpha), c_f, alpha, factor(c_f, alpha))
    torch.testing.assert_close(found @ basis[:, :3], weight @ basis[:, :3])
    torch.testing.assert_close(found @ basis[:, 3:5], torch.zeros(4, 2, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(found @ basis[:, 5:], weight @ basis[:, 5:])


def test_the_second_moments_are_those_of_the_layers_inputs(original, few):
    found = second_moments(original, few.train, few.inputs, limit=10**6, batch_size=30)
    assert list(found) == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    x = normalize(few.train.pixels, few.inputs)
    a = F.unfold(x, 3, padding=1).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(found["conv1"], a.T @ a / (a.T @ a).trace(), atol=1e-5, rtol=1e-4)
    assert all(abs(float(c.trace()) - 1) < 1e-4 for c in found.values())


def test_every_picture_gives_as_many_patches(original, few, monkeypatch):
    """Also those of a last batch with fewer pictures than the others."""
    asked = []
    monkeypatch.setattr(svd, "patches", lambda layer, x, limit, draw: asked.append((len(x), limit)) or patches(layer, x, limit, draw))
    second_moments(original, few.train, few.inputs, limit=500, batch_size=40)
    assert set(asked) == {(40, 200), (20, 100)}


class Standardised(nn.Conv2d):
    """What it multiplies with is not what it stores."""


def test_convolutions_with_groups_and_of_other_kinds_are_left_alone():
    assert not projectable(nn.Sequential(Standardised(4, 4, 1)))
    assert set(projectable(nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Linear(4, 2)))) == {"1", "3"}


def test_only_weights_change_beside_a_batch_norm(few, roughen):
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10))
    svd, before = methods.get("svd"), roughen(net, torch.float32).state_dict()
    after = svd.run(net, (3,), few, svd.spec(alphas_r=(10.0,), alphas_f=(10.0,))).state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"0.weight", "5.weight"}


def test_few_validation_pictures_do_not_judge(data):
    kept, gone = judges(data, (3,), 60, 0)
    assert len(kept) == len(gone) == 60  # 128 and 14 in the validation split: the latter come from the training split
    assert (gone.labels == 3).all() and not (kept.labels == 3).any()
    seen = {p.numpy().tobytes() for p in data.val.pixels}
    assert {p.numpy().tobytes() for p in kept.pixels} <= seen and not {p.numpy().tobytes() for p in gone.pixels} <= seen


def test_the_best_of_the_grid_is_taken(original, data):
    svd, sides = methods.get("svd"), judges(data, (3,), 500, 0)

    def reached(alphas_r, alphas_f) -> float:
        return score(svd.run(original, (3,), data, svd.spec(alphas_r=alphas_r, alphas_f=alphas_f)), *sides, data.inputs)

    alone = [reached((r,), (f,)) for f in (1.0, 10.0) for r in (1.0, 100.0)]
    assert len(set(alone)) > 1 and reached((1.0, 100.0), (1.0, 10.0)) == max(alone)


def test_shares_of_the_layers_are_counted_from_the_head(original, data):
    svd = methods.get("svd")
    one = {"alphas_r": (10.0,), "alphas_f": (10.0,)}

    def changed(*shares) -> list[str]:
        after = svd.run(original, (3,), data, svd.spec(shares=shares, **one))
        return [name for name, layer in projectable(after).items() if not torch.equal(layer.weight, original.get_submodule(name).weight)]

    assert changed(1.0) == ["conv1", "conv2", "fc1", "fc2", "fc3"] and changed(0.4) == ["fc2", "fc3"] and changed(0.01) == ["fc3"]
    sides = judges(data, (3,), 500, 0)
    both, *alone = (score(svd.run(original, (3,), data, svd.spec(shares=s, **one)), *sides, data.inputs) for s in ((1.0, 0.4), (1.0,), (0.4,)))
    assert len(set(alone)) == 2 and both == max(alone)
    for wrong in (0.0, 1.5):
        with pytest.raises(WfvizError, match="part of the layers"):
            changed(wrong)

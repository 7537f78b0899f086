"""Insertion and deletion compared with the obvious way: multiply weights filter by filter and look again."""

import numpy as np
import pytest
import torch

from wfviz.backbones import CNN
from wfviz.data import Pictures
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.metrics import curves as module
from wfviz.metrics.curves import MODES, ORDERS, curves, moved, responses, summary
from wfviz.pictures import normalize
from wfviz.playback import chances, filters_moved, gate_steps

FRACTIONS = (0, 0.1, 0.35, 1)
SEEDS = 2


@pytest.fixture
def pictures():
    return Pictures(torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8), torch.arange(12) % 4)


@pytest.fixture
def plain(net):
    made = CNN(10, 1, 8)
    made.load_state_dict(net.backbone_state())
    return made.eval()


@pytest.fixture
def found(net, pictures):
    return curves(net, pictures, per_class=2, seeds=SEEDS, fractions=FRACTIONS, batch_size=9)


def scores_of(net, order: str, c: int, x, seed: int = 0) -> dict[str, torch.Tensor]:
    """How soon each filter is moved, highest first."""
    if order == "gates":
        return {name: 1 - kinds["weight"][c] for name, kinds in net.gates().items()}
    if order == "weight norm":
        return {name: layer.inner.weight.flatten(1).norm(dim=1) for name, layer in net.gated().items()}
    if order == "activation":
        return responses(net, x)
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(len(layer.inner.weight), generator=generator) for name, layer in net.gated().items()}


@torch.no_grad()
def slow_curve(plain, net, x, c: int, scores: dict, mode: str) -> list[float]:
    """One filter after the other; its weights are multiplied by its gate, by 0, or left alone."""
    original = {name: value.clone() for name, value in plain.state_dict().items()}
    before = plain(x).softmax(1)[:, c].mean()
    rows = net.gates()

    def multiply(layer: str, index: int, closed: bool | None) -> None:
        for kind in ("weight", "bias"):
            factor = 1.0 if closed is False else 0.0 if closed else float(rows[layer][kind][c, index])
            getattr(plain.get_submodule(layer), kind)[index] = original[f"{layer}.{kind}"][index] * factor

    if mode == "insertion":
        for layer, kinds in rows.items():
            for index in range(kinds["weight"].shape[1]):
                multiply(layer, index, None)
    values, done = [], {layer: 0 for layer in rows}
    for fraction in FRACTIONS:
        for layer, score in scores.items():
            order = sorted(range(len(score)), key=lambda f, score=score: (-float(score[f]), f))
            while done[layer] < round(fraction * len(order)):
                multiply(layer, order[done[layer]], mode == "deletion")
                done[layer] += 1
        values.append(float(plain(x).softmax(1)[:, c].mean() / before))
    plain.load_state_dict(original)
    return values


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ORDERS)
def test_curves_are_those_of_weights_multiplied_one_by_one(net, plain, pictures, found, mode, order):
    for c in range(4):
        x = normalize(pictures.take((pictures.labels == c).nonzero()[:2, 0]), net.inputs)
        runs = getattr(found, mode)[order]
        assert runs.shape == (SEEDS if order == "random" else 1, 10, len(FRACTIONS))
        for seed, run in enumerate(runs):
            slow = slow_curve(plain, net, x, c, scores_of(net, order, c, x, seed), mode)
            assert np.allclose(run[c], slow, rtol=1e-4), (c, seed)


def test_an_order_alone_is_what_it_is_among_the_others(net, pictures, found):
    alone = curves(net, pictures, per_class=2, fractions=FRACTIONS, orders=("gates",))
    for mode in MODES:
        assert list(getattr(alone, mode)) == ["gates"]
        assert np.allclose(getattr(alone, mode)["gates"], getattr(found, mode)["gates"], rtol=1e-4, equal_nan=True)


def test_an_order_that_there_is_not(net, pictures):
    with pytest.raises(WfvizError, match="activation"):
        curves(net, pictures, per_class=1, orders=("activations",))


def test_ends(found):
    for order in ORDERS:
        assert np.allclose(found.insertion[order][:, :4, -1], 1, atol=1e-5)  # all gates open: the original
        assert np.allclose(found.deletion[order][:, :4, 0], 1, atol=1e-5)  # none closed
        assert np.allclose(found.insertion[order][:, :4, 0], found.insertion["gates"][:, :4, 0])  # the same start


def test_a_class_without_pictures_is_a_gap(found):
    assert np.isnan(found.insertion["gates"][:, 4:]).all() and np.isfinite(found.insertion["gates"][:, :4]).all()
    numbers = summary(found, tuple("abcdefghij"))
    assert np.isfinite([numbers[mode][order]["mean"] for mode in MODES for order in ORDERS]).all()


def test_area_is_the_trapezoid_rule(found):
    run = found.deletion["gates"][0, 1]
    slow = sum((b - a) * (run[i] + run[i + 1]) / 2 for i, (a, b) in enumerate(zip(FRACTIONS, FRACTIONS[1:], strict=False)))
    assert found.auc("deletion")[0, 1] == pytest.approx(slow, rel=1e-5)


def test_moved_takes_the_first_ranks():
    taken = moved(torch.tensor([2, 0, 3, 1]), (0, 0.5, 1))
    assert taken.tolist() == [[False] * 4, [False, True, False, True], [True] * 4]
    assert filters_moved([4, 10], np.array([0, 0.5, 1])).tolist() == [0, 7, 14]


@pytest.mark.parametrize("mode", MODES)
def test_playback_is_what_the_curves_measured(net, pictures, found, mode):
    """The probabilities shown beside the curves, averaged, are the curve."""
    where = torch.cat([(pictures.labels == c).nonzero()[:2, 0] for c in range(4)])
    targets = pictures.labels[where].tolist()
    x = normalize(pictures.take(where), net.inputs)
    shown = chances(net, x, targets, found.fractions, mode)
    assert shown.shape == (8, len(FRACTIONS), 10) and np.allclose(shown.sum(-1), 1, atol=1e-5)
    before = net(x).softmax(1)
    for c in range(4):
        own = [i for i, t in enumerate(targets) if t == c]
        mean = shown[own, :, c].mean(0) / float(before[own, c].mean())
        assert np.allclose(mean, getattr(found, mode)["gates"][0, c], rtol=1e-4)


def test_row_of_gates_step_by_step(net):
    gates = net.gates()["conv1"]["weight"].numpy()
    filled, emptied = (gate_steps(gates[[3]], np.array(FRACTIONS), mode) for mode in MODES)
    order = np.argsort(gates[3])
    for s, fraction in enumerate(FRACTIONS):
        first = order[: round(fraction * 32)]
        expected = gates[3].copy()
        expected[first] = 1
        assert np.allclose(filled[s], expected)
        expected = np.ones(32)
        expected[first] = 0
        assert np.allclose(emptied[s], expected)
    every = np.mean([gate_steps(gates[[c]], np.array(FRACTIONS), "insertion") for c in range(10)], axis=0)
    assert np.allclose(gate_steps(gates, np.array(FRACTIONS), "insertion"), every, atol=1e-6)


def test_responses_of_layers_with_the_filters_last():
    """Linear layers over a grid of places, and layers whose weights are read without a call."""

    class Grid(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.wide, self.conv, self.read, self.head = torch.nn.Linear(3, 7), torch.nn.Conv2d(7, 5, 1), torch.nn.Linear(5, 6), torch.nn.Linear(6, 2)

        def forward(self, x):
            x = self.conv(self.wide(x.movedim(1, -1)).movedim(-1, 1)).mean((2, 3))
            return self.head(torch.nn.functional.linear(x, self.read.weight, self.read.bias))

    net = WFNet(Grid(), 2, layers=("wide", "conv")).eval()
    x = torch.randn(4, 3, 2, 3)
    with torch.no_grad():
        found = responses(net, x)
        wide = net.backbone.wide.inner(x.movedim(1, -1))
    assert {name: tuple(values.shape) for name, values in found.items()} == {"wide": (7,), "conv": (5,)}
    assert torch.allclose(found["wide"], wide.abs().mean((0, 1, 2)), atol=1e-6)


def test_an_order_that_cannot_be_had_is_left_out(net, pictures, monkeypatch):
    monkeypatch.setattr(module, "responses", lambda *_: {})
    found = curves(net, pictures, per_class=2, seeds=2, fractions=FRACTIONS)
    assert set(found.insertion) == set(found.deletion) == {"gates", "random", "weight norm"}

"""Muon: what a step does, beside the definition by singular values, and that it learns."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from wfviz.muon import COEFFICIENTS, Muon, orthogonalized


def by_singular_values(matrix: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """The polynomial taken on every singular value alone."""
    u, s, vt = torch.linalg.svd(matrix.double() / matrix.double().norm(), full_matrices=False)
    a, b, c = COEFFICIENTS
    for _ in range(iterations):
        s = a * s + b * s**3 + c * s**5
    return u @ torch.diag(s) @ vt


@pytest.mark.parametrize("shape", [(8, 27), (27, 8), (16, 16), (1, 9), (64, 144)])
def test_singular_values_go_to_one(shape):
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    out = orthogonalized(matrix)
    assert torch.allclose(out.double(), by_singular_values(matrix), atol=1e-4)
    if shape[0] != shape[1]:  # a square matrix may have a singular value near zero
        assert torch.linalg.svdvals(out).sub(1).abs().max() < 0.35


def test_nothing_to_orthogonalise():
    assert torch.equal(orthogonalized(torch.zeros(3, 5)), torch.zeros(3, 5))


def test_a_step_on_filters_and_on_the_rest():
    """Filters: their norm is the root of their number, the step has length lr in every direction. The rest: SGD."""
    torch.manual_seed(0)
    conv, ours, theirs = nn.Conv2d(3, 8, 3), nn.Linear(5, 4), nn.Linear(5, 4)
    theirs.load_state_dict(ours.state_dict())
    mine = Muon([{"params": [conv.weight, *ours.parameters()], "weight_decay": 0.1}], lr=0.2)
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.1)
    momentum = torch.zeros_like(conv.weight)
    for step in range(3):
        for layer in (conv, ours, theirs):
            layer.zero_grad()
            torch.manual_seed(step)
            x = torch.randn(2, 3, 6, 6) if layer is conv else torch.randn(2, 5)
            layer(x).square().sum().backward()
        momentum = 0.9 * momentum + conv.weight.grad
        unit = conv.weight.detach() * 8**0.5 / conv.weight.detach().norm()
        mine.step()
        sgd.step()
        wanted = unit.double() - 0.2 * by_singular_values((conv.weight.grad + 0.9 * momentum).flatten(1)).view_as(unit)
        assert torch.allclose(conv.weight.detach().double(), wanted, atol=1e-4)
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_learns(layout):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 2)).to(memory_format=layout)
    x, y = torch.randn(32, 1, 6, 6), torch.arange(32) % 2
    x[y == 1] += 0.5
    opt = Muon(net.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_what_has_no_gradient_stays():
    conv = nn.Conv2d(1, 2, 3)
    before = conv.weight.detach().clone()
    Muon(conv.parameters()).step()
    assert torch.equal(conv.weight, before)

"""Insertion and deletion over gates: how much of a class a few filters carry.

Poppi et al. 2024, section "Evaluation Metrics", after Petsiuk et al. 2018 with filters in the place of pixels.
Insertion starts at the network with row c applied and opens its gates again, most closed first; deletion starts
at the original network and closes gates in the same order. Each step measures the mean probability of class c on
pictures of class c, divided by the original network's. Area under the curve by the trapezoid rule over the part
of filters moved: insertion higher is better (ideal 1), deletion lower is better (ideal 0).

Controls move the same number of filters of every layer in another order: at random (several seeds), by the norm
of their weights, and by how strongly they respond to the class. A relevance that is worth its name beats all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from wfviz.data import Pictures
from wfviz.errors import WfvizError, nearest
from wfviz.filtering import WFNet
from wfviz.metrics.accuracy import spread
from wfviz.pictures import normalize

FRACTIONS = (
    0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1,
)  # of the filters of every layer; fine where the curves move
MODES = ("insertion", "deletion")
ORDERS = ("gates", "random", "weight norm", "activation")


@dataclass(frozen=True)
class Curves:
    """fractions: float32 [S], part of the filters moved.

    insertion, deletion: by order (`ORDERS`), float32 [R, C, S], confidence over the original's; R is 1 but for
    the random order, where it is the number of seeds.
    """

    fractions: np.ndarray
    insertion: dict[str, np.ndarray] = field(default_factory=dict)
    deletion: dict[str, np.ndarray] = field(default_factory=dict)

    def auc(self, mode: str, order: str = "gates") -> np.ndarray:
        """Area under every curve, [R, C]."""
        return np.trapezoid(getattr(self, mode)[order], self.fractions, axis=-1)


def summary(found: Curves, classes: tuple[str, ...]) -> dict:
    """{mode: {order: mean, std, worst, worst_class}} of the areas over classes; random orders averaged first."""
    worst = {"insertion": np.argmin, "deletion": np.argmax}
    return {
        mode: {order: spread(found.auc(mode, order).mean(0), classes, worst[mode]) for order in getattr(found, mode)}
        for mode in MODES
    }


@torch.no_grad()
def curves(
    net: WFNet,
    pictures: Pictures,
    *,
    per_class: int = 50,
    seeds: int = 5,
    fractions: tuple[float, ...] = FRACTIONS,
    orders: tuple[str, ...] = ORDERS,
    batch_size: int = 512,
    progress: Callable[[int], None] = lambda done: None,
) -> Curves:
    """The curves of every class over the first `per_class` pictures of it, in each of `orders`; `progress` gets classes done."""
    n = len(net.classes)
    found: dict[str, dict[str, list]] = {mode: {order: [] for order in orders} for mode in MODES}
    rows = net.gates()
    for c in range(n):
        where = (pictures.labels == c).nonzero()[:, 0][:per_class]
        if not len(where):  # nothing to measure on: a gap in every curve
            for mode in MODES:
                for order in orders:
                    found[mode][order].append(np.full((seeds if order == "random" else 1, len(fractions)), np.nan))
            continue
        x = normalize(pictures.take(where).to(net.device), net.inputs)
        relevance = {order: _relevance(net, x, c, order, rows, seeds) for order in orders}
        before = net(x).softmax(1)[:, c].mean()
        for order, several in relevance.items():
            if not several:
                continue
            ranks = [{name: _ranks(score) for name, score in scores.items()} for scores in several]
            for mode in MODES:
                values = [_curve(net, x, c, rank, mode, rows, fractions, batch_size) / before for rank in ranks]
                found[mode][order].append(torch.stack(values).cpu().numpy())
        progress(1)
    stacked = {mode: {order: np.stack(v, axis=1).astype(np.float32) for order, v in found[mode].items() if len(v) == n} for mode in MODES}
    return Curves(np.array(fractions, dtype=np.float32), **stacked)


def _relevance(net: WFNet, x: Tensor, c: int, order: str, rows: dict, seeds: int) -> list[dict[str, Tensor]]:
    """Scores of the filters in an order, {layer: [F]}, highest moved first: a set a seed where it is random, none where they cannot be measured."""
    match order:
        case "gates":
            return [{name: 1 - kinds["weight"][c] for name, kinds in rows.items()}]
        case "random":
            return [_random(rows, seed) for seed in range(seeds)]
        case "weight norm":
            return [{name: layer.inner.weight.flatten(1).norm(dim=1) for name, layer in net.gated().items()}]
        case "activation":
            response = responses(net, x)
            return [response] if rows.keys() == response.keys() else []
    raise WfvizError(nearest(order, ORDERS, "order"))


def moved(rank: Tensor, fractions: tuple[float, ...]) -> Tensor:
    """bool [S, F]: which filters have been moved when that part of them has; rank 0 goes first."""
    count = torch.tensor([round(f * len(rank)) for f in fractions], device=rank.device)
    return rank[None] < count[:, None]


def _curve(net, x, c, ranks, mode, rows, fractions, batch_size) -> Tensor:
    """Mean probability of class c at every step, [S]; pictures and steps share batches."""
    steps = {}
    for name, rank in ranks.items():
        gone = moved(rank, fractions)
        start = {kind: gate[c] for kind, gate in rows[name].items()}
        if mode == "deletion":
            steps[name] = {kind: (~gone).to(gate) for kind, gate in start.items()}
        else:
            steps[name] = {kind: torch.where(gone, torch.ones_like(gate), gate) for kind, gate in start.items()}
    s, total = len(fractions), x.new_zeros(len(fractions))
    for part in x.split(max(1, batch_size // s)):
        given = {name: {kind: g.repeat(len(part), 1) for kind, g in kinds.items()} for name, kinds in steps.items()}
        probability = net(part.repeat_interleave(s, dim=0), given=given).softmax(1)[:, c]
        total += probability.view(len(part), s).sum(0)
    return total / len(x)


def _ranks(score: Tensor) -> Tensor:
    """Place of every filter when sorted by score, highest first: int [F]."""
    order = torch.argsort(score, descending=True, stable=True)
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))


def _random(rows: dict, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(kinds["weight"].shape[1], generator=generator).to(kinds["weight"].device)
        for name, kinds in rows.items()
    }


def responses(net: WFNet, x: Tensor) -> dict[str, Tensor]:
    """How strongly every filter responds to x: mean |output| of each gated layer before its gate, {layer: [F]}.

    A layer whose weights the network reads without calling it is not in it.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module, _inputs, y: Tensor) -> None:
            last = isinstance(module, nn.Linear) or y.ndim == 2  # where the filters lie
            found[name] = y.flatten(0, -2).abs().mean(0) if last else y.flatten(2).abs().mean((0, 2))

        return hook

    with ExitStack() as hooks:
        for name, layer in net.gated().items():
            hooks.callback(layer.inner.register_forward_hook(keep(name)).remove)
        net(x)
    return found

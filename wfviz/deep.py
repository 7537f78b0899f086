"""Deep forgetting: the penultimate features, too, shall not tell the forgotten class from the others.

Silencing a class at the output leaves it in the features, where a linear probe finds it (`wfviz/metrics/probe.py`). The
preset `deep` adds λ4 · `separability` to the objective: a probe in the loop, in closed form. How far that goes, and what
else was tried, stands in `docs/untraining.md`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wfviz.data import Pictures
from wfviz.filtering.choice import find_head
from wfviz.training import batch_indices

RIDGE = 0.1  # of the features' mean variance
FEWEST = 8  # features on a side, fewer say nothing


def separability(gone: Tensor, kept: Tensor) -> Tensor:
    """−½ log(1 − R²) in nats of the best ridge regression of "is it the forgotten class?" on the features; lower is deeper, ideal 0.

    For Gaussian features it is what they tell of the class (Cover & Thomas 2006, Eq. 9.16); R² itself has hardly a
    gradient near 1, where it starts. gone [N, D], kept [M, D]: features of forgotten and of retained pictures, both with the class's gates; either side
    weighs one half. Differentiable in both. 0 where a side has fewer than `FEWEST`.
    """
    if min(len(gone), len(kept)) < FEWEST:
        return gone.new_zeros(())
    x = torch.cat([gone, kept]).float()
    weight = torch.cat([x.new_full((len(gone),), 0.5 / len(gone)), x.new_full((len(kept),), 0.5 / len(kept))])
    target = torch.cat([x.new_ones(len(gone)), -x.new_ones(len(kept))])
    x = x - (weight[:, None] * x).sum(0)
    x = x / ((weight[:, None] * x * x).sum(0).mean().sqrt().detach() + 1e-6)
    covariance = x.T @ (weight[:, None] * x) + RIDGE * torch.eye(x.shape[1], device=x.device)
    along = x.T @ (weight * target)
    return -0.5 * torch.log1p(-(along @ torch.linalg.solve(covariance, along)).clamp(max=1 - 1e-6))


class HeadInput:
    """While it is entered, `features` is what the classification head was last given, [B, D]."""

    def __init__(self, model: nn.Module, n_classes: int):
        self.head = model.get_submodule(find_head(model, n_classes))
        self.features: Tensor | None = None

    def __enter__(self) -> HeadInput:
        self.hook = self.head.register_forward_pre_hook(self._keep)
        return self

    def __exit__(self, *_) -> None:
        self.hook.remove()

    def _keep(self, _module: nn.Module, given: tuple[Tensor, ...]) -> None:
        x = given[0]
        self.features = x.mean((2, 3)) if x.ndim == 4 else x.flatten(1)


def one_class(pictures: Pictures, n_classes: int, size: int, chi: int, seed: int, step: int, share: tuple[int, int]) -> tuple[Tensor, Tensor, int]:
    """(forgotten, retained, c): indices for a step that forgets one class, for this process's share of it.

    About `size` / 2 pictures of class c and χ times as many of others, each once; the classes take turns.
    """
    turn, place = divmod(step, n_classes)
    labels = pictures.labels.cpu()
    order = torch.randperm(n_classes, generator=torch.Generator().manual_seed(seed * 1_000_003 + turn))
    order = order[torch.isin(order, labels)]  # those that there are pictures of
    c = int(order[place % len(order)])
    own = (labels == c).nonzero()[:, 0]
    half = max(1, size // 2)
    gone = own[batch_indices(len(own), min(half, len(own)), seed + c, turn, share)]
    kept = batch_indices(len(labels), min(half * chi, len(labels)), seed, step, share)
    return gone, kept[labels[kept] != c], c

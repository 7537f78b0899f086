"""Leaving out part of the pictures that a network knows already: InfoBatch (Qin et al. 2024, arXiv:2303.04947)."""

from __future__ import annotations

import torch
from torch import Tensor

WHOLE_FROM = 0.875  # of the training: the last epochs learn from every picture (section 3.3, δ)


class Skipping:
    """Chooses what of each batch is learned from, by the losses that its pictures had when they were seen last.

    A picture is easy if its loss is below the mean of all; an easy one is left out with probability `part` and
    counts 1 / (1 - part) times where it stays, so the gradient is the same on average (Eq. 5). Pictures that were not
    seen yet stay; of several processes each knows what it has seen itself.
    """

    def __init__(self, n: int, part: float):
        self.part = part
        self.losses = torch.full((n,), torch.nan)

    def choose(self, indices: Tensor, done: float, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Those of `indices` [B] that stay, [B'], and what each counts, float [B']; done: the part of the training so far."""
        easy = self.losses[indices] < self.losses.nanmean()
        stays = ~easy | (torch.rand(len(indices), generator=draw) >= self.part)
        if done >= WHOLE_FROM or stays.sum() < 2:  # batch statistics need two
            return indices, torch.ones(len(indices))
        return indices[stays], torch.where(easy, 1 / (1 - self.part), 1.0)[stays]

    def remember(self, indices: Tensor, losses: Tensor) -> None:
        """losses: float [B'] of `indices`."""
        self.losses[indices] = losses.detach().float().cpu()

"""Muon: momentum whose step is orthogonal, for a network's convolutions; it learns them in fewer epochs than SGD."""

from __future__ import annotations

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic below; they take singular values from (0, 1] to about 1


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) on filters, that is on tensors with three dimensions or more; Nesterov's SGD elsewhere.

    A filter bank is read as a matrix with a row per filter. Its step is the Nesterov momentum with all singular
    values set to about one, times `lr`, and its norm stays the square root of the number of rows, as in the
    authors' CIFAR-10 code: `lr` is thus the relative length of a step, and weight decay would say nothing there.
    It only suits filters that a normalisation follows, as in ResNet and in VGG with batch norm. Those of torch and
    timm work in bfloat16, which takes three times as long on a CPU without it, and let the norm grow.
    """

    def __init__(self, params, lr: float = 0.1, momentum: float = 0.9, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group["lr"], group["momentum"], group["weight_decay"])

    def _update(self, p: Tensor, lr: float, momentum: float, weight_decay: float) -> None:
        filters = p.ndim >= 3
        grad = p.grad if filters else p.grad.add(p, alpha=weight_decay)
        if "momentum_buffer" not in self.state[p]:
            self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffer = self.state[p]["momentum_buffer"]
        buffer.mul_(momentum).add_(grad)
        step = grad.add(buffer, alpha=momentum)
        if filters:
            p.mul_(len(p) ** 0.5 / p.norm().clamp(min=1e-7))
            step = orthogonalized(step.reshape(len(p), -1)).reshape(p.shape)
        p.add_(step, alpha=-lr)


def orthogonalized(matrix: Tensor, iterations: int = 5) -> Tensor:
    """[m, n] with its singular vectors kept and its singular values brought to about one (0.7 to 1.2).

    Newton-Schulz: X ← aX + b(XXᵀ)X + c(XXᵀ)²X from X = matrix / its Frobenius norm, with `COEFFICIENTS`
    (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"). All steps multiply X from the
    left by polynomials in XXᵀ, so they are taken on that small [m, m] matrix and X is multiplied once.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix) / matrix.norm().clamp(min=1e-7)
    gram, product = x @ x.T, torch.eye(len(x), device=x.device, dtype=x.dtype)
    for _ in range(iterations):
        factor = b * gram + c * gram @ gram
        factor.diagonal().add_(a)
        product = factor @ product
        gram = factor @ gram @ factor
    x = product @ x
    return x.T if tall else x

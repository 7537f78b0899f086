"""What a single filter does: the pictures it responds to, those it matters for, and what it would like to see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from wfviz.data import Pictures
from wfviz.errors import WfvizError, nearest
from wfviz.filtering import WFNet
from wfviz.filtering.private import private_copy
from wfviz.pictures import normalize


@dataclass(frozen=True)
class Profile:
    """How every filter of a layer treats every picture.

    activation: float32 [N, F], mean over space of the positive part of the filter's output.
    relevance: float32 [N, F], output times the gradient of the predicted logit, summed over space: how much the
        filter speaks for what the network says. Strongly active is not the same as relevant (Achtibat et al. 2023).
    """

    activation: np.ndarray
    relevance: np.ndarray


def profile(net: WFNet, layer: str, pictures: Pictures, batch_size: int = 256) -> Profile:
    """Activation and relevance of every filter of `layer` on all `pictures`, nothing forgotten."""
    active, relevant = [], []
    with private_copy(net) as own, _output_of(own, layer) as seen:
        for indices in torch.arange(len(pictures)).split(batch_size):
            x = normalize(pictures.take(indices).to(own.device), own.inputs).requires_grad_()
            logits = own(x)
            if not seen:
                raise WfvizError(f"the network reads the weights of {layer} without calling it, so that its activity cannot be seen")
            y, last = seen[-1], _filters_last(own, layer)
            (gradient,) = torch.autograd.grad(logits.amax(1).sum(), y)
            active.append(_over_space(y.detach().relu(), "mean", last, len(x)))
            relevant.append(_over_space((y * gradient).detach(), "sum", last, len(x)))
    return Profile(*(torch.cat(parts).float().cpu().numpy() for parts in (active, relevant)))


def visualise(net: WFNet, layer: str, index: int, *, steps: int = 96, seed: int = 0) -> np.ndarray:
    """A picture that drives one filter: uint8 [size, size] or [size, size, 3], made by gradient ascent.

    Activation maximisation (Erhan et al. 2009) with jitter and a smoothness penalty (Olah et al. 2017).
    """
    generator = torch.Generator().manual_seed(seed)
    with private_copy(net) as own, _output_of(own, layer) as seen:
        inputs, device = own.inputs, own.device
        width = own.gated()[layer].inner.weight.shape[0]
        if not 0 <= index < width:
            raise WfvizError(f"layer {layer} has filters 0 to {width - 1}, not {index}")
        mean, std = (torch.tensor(v, device=device).view(-1, 1, 1) for v in (inputs.mean, inputs.std))
        noise = torch.randn(1, inputs.channels, inputs.size, inputs.size, generator=generator)
        free = (0.1 * noise).to(device).requires_grad_()
        opt = torch.optim.Adam([free], lr=0.1)
        reach = max(1, inputs.size // 16)
        for _ in range(steps):
            pixels = torch.sigmoid(free)
            dy, dx = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
            own((torch.roll(pixels, (dy, dx), (2, 3)) - mean) / std)
            rough = pixels.diff(dim=2).square().mean() + pixels.diff(dim=3).square().mean()
            if not seen:
                raise WfvizError(f"the network reads the weights of {layer} without calling it, so that no picture can be made for it")
            loss = 2 * rough - _over_space(seen[-1], "mean", _filters_last(own, layer), 1)[0, index]
            opt.zero_grad()
            loss.backward()
            opt.step()
    picture = (torch.sigmoid(free.detach())[0] * 255).round().to(torch.uint8).cpu().numpy()
    return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)


@torch.no_grad()
def predictions(net: WFNet, pictures: Pictures, *, closed: dict[str, list[int]] | None = None, level: float = 0.0, batch_size: int = 512) -> np.ndarray:
    """Predicted classes int64 [N], with some gates of the original network turned to `level`.

    closed: {layer: filter indices}; their gates become `level` in [0, 1], all others stay open.
    """
    given = {layer: _gates(net, layer, indices, level) for layer, indices in (closed or {}).items()}
    found = [
        net(normalize(pictures.take(indices).to(net.device), net.inputs), given=given).argmax(1)
        for indices in torch.arange(len(pictures)).split(batch_size)
    ]
    return torch.cat(found).cpu().numpy() if found else np.empty(0, dtype=np.int64)


def confusion(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts int64 [C, C], row = true class, column = predicted."""
    return np.bincount(labels * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def _gates(net: WFNet, layer: str, indices: list[int], level: float) -> Tensor:
    if layer not in net.layers:
        raise WfvizError(nearest(layer, net.layers, "gated layer"))
    gates = torch.ones(net.gated()[layer].inner.weight.shape[0], device=net.device)
    if any(not 0 <= i < len(gates) for i in indices):
        raise WfvizError(f"layer {layer} has filters 0 to {len(gates) - 1}")
    gates[indices] = level
    return gates


@contextmanager
def _output_of(net: WFNet, layer: str) -> Iterator[list[Tensor]]:
    """A list that holds the latest output of the module that carries a layer's gate, while inside."""
    outlets, seen = net.outlets(), []
    if layer not in outlets:
        raise WfvizError(nearest(layer, outlets, "gated layer"))
    hook = outlets[layer].register_forward_hook(lambda _module, _inputs, y: seen.__setitem__(slice(None), [y]))
    try:
        yield seen
    finally:
        hook.remove()


def _filters_last(net: WFNet, layer: str) -> bool:
    return isinstance(net.gated()[layer].inner, nn.Linear)


def _over_space(y: Tensor, how: str, last: bool, pictures: int) -> Tensor:
    """[B, F, ...], or with the filters `last` [B, ..., F], reduced to [pictures, F]; windows that were folded into B as well."""
    y = y if last or y.ndim == 2 else y.movedim(1, -1)
    return getattr(y.reshape(pictures, -1, y.shape[-1]), how)(1)

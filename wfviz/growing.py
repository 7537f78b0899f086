"""A wider network that begins by answering as a narrower one did: where a large ViT begins that a CPU could not train."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from wfviz.backbones import build
from wfviz.errors import WfvizError
from wfviz.specs import BackboneSpec

CLOSE = 1e-3  # of the largest logit


def grown(source: nn.Module, stored: BackboneSpec, name: str, seed: int = 0) -> nn.Module:
    """The network `name` for the pictures and classes of `source`, which is built by `stored`; on the CPU, in eval mode.

    Every channel is there k times and every weight is shared among the k that it reads now, in unequal parts drawn by `seed`, so
    that the copies learn different things (Net2WiderNet, Chen et al. 2016; with unequal parts, for ViTs as well: LEMON, Wang et al. 2024).
    A layer normalisation does not notice copies, and an attention head needs its old width: heads are copied whole.
    Raises WfvizError where `name` is no wider `stored.name` or would not answer as it does.
    """
    net, source = build(replace(stored, name=name)).eval(), source.eval()
    old, new = source.state_dict(), net.state_dict()
    why = f"{name} is no wider {stored.name}"
    if old.keys() != new.keys() or not all(_times(old[key], new[key]) for key in new):
        raise WfvizError(f"{why}; go on with {stored.name}, or start from random weights, without --from")
    draw = torch.Generator().manual_seed(seed)
    net.load_state_dict({key: _wider(key, old[key], new[key], draw) for key in new})
    x = torch.rand(8, stored.channels, stored.size, stored.size, generator=draw)
    with torch.no_grad():
        before, after = source(x), net(x)
    if not torch.allclose(before, after, rtol=0, atol=CLOSE * float(before.abs().max())):
        raise WfvizError(f"{why} that gives the same answers, such as one with more heads of the same width; start from random weights, without --from")
    return net


def _times(old: Tensor, new: Tensor) -> bool:
    return old.ndim == new.ndim and all(b % a == 0 for a, b in zip(old.shape, new.shape, strict=True))


def _wider(key: str, old: Tensor, new: Tensor, draw: torch.Generator) -> Tensor:
    """`old` for more channels: copied along what it writes, then shared out along what it reads (dimension 1 of a weight)."""
    reads = 1 if old.ndim in (2, 4) else None
    for axis in range(old.ndim):
        if axis != reads and (k := new.shape[axis] // old.shape[axis]) > 1:
            groups = 3 if "qkv" in key or "in_proj" in key else 1  # queries, keys and values, each of all heads
            old = torch.cat([part for part in old.chunk(groups, axis) for _ in range(k)], axis)
    if reads and (k := new.shape[1] // old.shape[1]) > 1:
        parts = torch.randn(k, *old.shape, generator=draw) * old.std()
        old = torch.cat([*(old + parts - parts.mean(0)) / k], 1)
    return old

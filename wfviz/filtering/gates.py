"""Gate algebra: which row of α serves which sample, and what a gate does to an output.

Masking output channel f of a weight by g is the same as scaling channel f of the bias-free output by g
(Poppi et al. 2024, Algorithm 1, written for a batch in which every sample may use another row):

    y = conv(x, W) * g_w[row] + b * g_b[row]  =  conv(x, W, b) * g_w[row] + b * (g_b[row] - g_w[row])
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from wfviz.errors import WfvizError, nearest

FOLD_FROM = 4  # pictures in a batch from which masking the weights once costs less than scaling outputs


@dataclass(frozen=True)
class Selection:
    """What one forward pass filters by: the same `classes` for the whole batch, one class a sample, or gates as given.

    classes: class indices whose gates multiply, or None where `rows` or `given` speaks.
    rows: LongTensor[B], -1 means that this sample forgets nothing.
    given: {layer name: gates of its weight and of its bias, each [1 or B, F]}; layers left out stay open.
    fold: the classes' gates go into the weights (and a following BatchNorm with them), not the outputs.
    """

    classes: tuple[int, ...] | None = None
    rows: Tensor | None = None
    given: dict[str, tuple[Tensor, Tensor]] | None = None
    fold: bool = False


_current: ContextVar[Selection | None] = ContextVar("wfviz_selection", default=None)


def current() -> Selection | None:
    """The selection of the forward pass that is running in this thread, or None."""
    return _current.get()


@contextmanager
def selecting(selection: Selection | None):
    """Layers called inside see `selection`; other threads and later calls do not."""
    token = _current.set(selection)
    try:
        yield
    finally:
        _current.reset(token)


def parse(forget: object, n_classes: int, batch: int, device: torch.device) -> Selection | None:
    """`forget` as a caller writes it, checked: None, a class, several classes, or a row for every sample.

    Raises WfvizError for an index out of range, a tensor of another shape or type.
    """
    if forget is None:
        return None
    if isinstance(forget, Tensor) and forget.ndim > 0:
        if forget.is_floating_point() or forget.is_complex() or forget.dtype == torch.bool:
            raise WfvizError(f"forget holds {forget.dtype}; class indices are integers (torch.long)")
        if forget.shape != (batch,):
            raise WfvizError(f"forget has shape {list(forget.shape)}; one row for each of the {batch} samples is [{batch}]")
        if batch and not (-1 <= int(forget.min()) and int(forget.max()) < n_classes):
            raise WfvizError(f"forget holds a class out of range; rows go from -1 (none) to {n_classes - 1}")
        return Selection(rows=forget.to(device=device, dtype=torch.long))
    several = tuple(forget) if isinstance(forget, tuple | list | set | frozenset) else (forget,)
    return None if not several else Selection(classes=tuple(dict.fromkeys(check_class(c, n_classes) for c in several)))


def check_class(index: object, n_classes: int) -> int:
    """`index` as an int in [0, n_classes), or WfvizError."""
    try:
        if isinstance(index, bool):
            raise TypeError
        value = operator.index(index)
    except TypeError:
        raise WfvizError(f"{index!r} is no class; give an index from 0 to {n_classes - 1}") from None
    if not 0 <= value < n_classes:
        raise WfvizError(f"class {value} is out of range; this network has classes 0 to {n_classes - 1}")
    return value


def class_index(name: str | int, classes: Sequence[str]) -> int:
    """Index of a class given by name or number; WfvizError names the nearest."""
    if isinstance(name, str):
        wanted, *composed = (unicodedata.normalize("NFC", one) for one in (name, *classes))  # ü as one sign or as two
        if wanted in composed:
            return composed.index(wanted)
        if re.fullmatch("-?[0-9]+", name) is None:
            raise WfvizError(nearest(name, classes, "class"))
    return check_class(int(name) if isinstance(name, str) else name, len(classes))


def chosen(alpha: Tensor, selection: Selection) -> Tensor:
    """Gates in [0, 1] of a selection: α [C, F] -> [1, F] for the whole batch, or [B, F] for rows.

    Gates of several classes multiply; a row of -1 has gates of exactly 1.
    """
    if selection.rows is None:
        return torch.sigmoid(alpha[list(selection.classes)]).prod(dim=0, keepdim=True)
    gates = torch.sigmoid(alpha[selection.rows.clamp(min=0)])
    return torch.where((selection.rows < 0)[:, None], torch.ones_like(gates), gates)


def channel_affine(y: Tensor, mean: Tensor, var: Tensor, eps: float, weight: Tensor, bias: Tensor) -> Tensor:
    """(y - mean) / sqrt(var + eps) * weight + bias for y [B, F, H, W], mean and var [F], weight and bias [1 or B, F].

    In one pass: seen as one picture of B * F channels, the batch goes through the very kernel that applies
    a BatchNorm in eval mode, so that a gate for every sample costs what the plain BatchNorm costs.
    """
    b, f = y.shape[:2]
    if len(weight) == 1:
        return F.batch_norm(y, mean, var, weight[0], bias[0], training=False, eps=eps)
    if not y.is_contiguous():
        scale = weight * torch.rsqrt(var + eps)
        return y * scale.to(y.dtype)[:, :, None, None] + (bias - mean * scale).to(y.dtype)[:, :, None, None]
    flat = F.batch_norm(
        y.view(1, b * f, *y.shape[2:]), mean.repeat(b), var.repeat(b),
        weight.reshape(-1), bias.reshape(-1), training=False, eps=eps,
    )
    return flat.view_as(y)


def scale_channels(y: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
    """y [B, F, H, W] * scale + shift, with scale and shift [1 or B, F]."""
    if shift is None:
        return y * scale.to(y.dtype)[:, :, None, None]
    zero, one = scale.new_zeros(y.shape[1]), scale.new_ones(y.shape[1])
    return channel_affine(y, zero, one, 0.0, scale, shift)


def scale_features(y: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
    """y [B, ..., F] * scale + shift, with scale and shift [1 or B, F]."""
    shape = (scale.shape[0], *[1] * (y.ndim - 2), scale.shape[1])
    scale = scale.to(y.dtype).view(shape)
    return y * scale if shift is None else torch.addcmul(shift.to(y.dtype).view(shape), y, scale)

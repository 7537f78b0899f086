"""What the layers of any classifier make of pictures: one vector a picture and layer, for probes, CKA and maps."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn

from wfviz.data import Pictures
from wfviz.errors import WfvizError
from wfviz.filtering.choice import PROJECTIONS, find_head, is_gateable
from wfviz.pictures import normalize
from wfviz.specs import InputSpec

PENULTIMATE = "features"  # the input of the head
LOGITS = "logits"


def layers_of(model: nn.Module, n_classes: int, x: Tensor, most: int = 6) -> tuple[str, ...]:
    """Names of at most `most` places to look at, in order of depth; the last is "features", the input of the head.

    The others are evenly spaced among the layers that can be gated and are called for `x`, pictures as the network takes
    them, first and last included: the attention projections where there are any, else all convolutions and hidden linear layers.
    """
    head, taken = find_head(model, n_classes), _called(model, x)
    able = [name for name, module in model.named_modules() if is_gateable(module) and name != head and name in taken]
    able = [name for name in able if name.rpartition(".")[2] in PROJECTIONS] or able
    places = np.linspace(0, len(able) - 1, min(len(able), max(0, most - 1))).round().astype(int)
    return (*(able[i] for i in places), PENULTIMATE)


@torch.no_grad()
def _called(model: nn.Module, x: Tensor) -> set[str]:
    """Names of the modules that a forward pass calls; some networks only read the weights of theirs."""
    found: set[str] = set()
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            hooks.callback(module.register_forward_pre_hook(lambda _module, _given, name=name: found.add(name)).remove)
        model.eval()(x)
    return found


@torch.no_grad()
def features(
    model: nn.Module, pictures: Pictures, inputs: InputSpec, layers: tuple[str, ...], n_classes: int, batch_size: int = 512
) -> dict[str, Tensor]:
    """{layer: float32 [N, D]} on the CPU, and the logits [N, C] under "logits", with the network in eval mode.

    layers: names of convolutions and linear layers, whose outputs (with their bias, before norm and activation)
    are taken, and "features". Outputs of convolutions are averaged over space, of linear layers over tokens. An
    average over space is linear in what comes in, so the first convolution's says little more than
    the mean brightness. Where a layer is applied several times, its last output is taken.

    Raises WfvizError for a layer that takes no part in the forward pass, and for values that are not finite.
    """
    head, modules = find_head(model, n_classes), dict(model.named_modules())
    device = next(model.parameters()).device
    parts: dict[str, list[Tensor]] = {}
    seen: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, y: Tensor) -> None:
        y = y.detach()
        y = y.flatten(2).transpose(1, 2) if isinstance(module, nn.Conv2d) else y  # channels last
        seen[name] = y.reshape(count, -1, y.shape[-1]).float().mean(1)  # also where windows were split off the batch

    with ExitStack() as hooks:
        for name in layers:
            if name == PENULTIMATE:
                hook = modules[head].register_forward_pre_hook(lambda module, given: keep(PENULTIMATE, module, given[0]))
            elif name in modules:
                hook = modules[name].register_forward_hook(lambda module, _given, y, name=name: keep(name, module, y))
            else:
                raise WfvizError(f"the network has no layer {name!r}")
            hooks.callback(hook.remove)
        model.eval()
        for indices in torch.arange(len(pictures)).split(batch_size):
            count = len(indices)
            seen.clear()
            seen[LOGITS] = model(normalize(pictures.take(indices), inputs).to(device)).detach().float()
            for name in (*layers, LOGITS):
                if name not in seen:
                    raise WfvizError(f"layer {name!r} takes no part in the forward pass; leave it out")
                parts.setdefault(name, []).append(seen[name].cpu())
    found = {name: torch.cat(parts[name]) for name in (*layers, LOGITS)} if parts else {}
    for name, values in found.items():
        if not values.isfinite().all():
            raise WfvizError(f"the network's {name} are not finite numbers; it was destroyed: forget with a lower rate or fewer steps")
    return found

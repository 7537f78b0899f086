"""What a network has learned from other pictures or classes, put into a new one: where a ViT begins that sees few pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wfviz.backbones import build
from wfviz.errors import WfvizError
from wfviz.filtering.choice import find_head
from wfviz.specs import BackboneSpec


def transferred(source: nn.Module, backbone: BackboneSpec, seed: int = 0) -> nn.Module:
    """A network by `backbone` with the weights of `source`, the same architecture for other pictures or classes; its classifier starts anew, by `seed`.

    Filters over other channels are averaged and scaled, so that a grey picture gives what it gave; position embeddings are
    interpolated to the new number of patches (timm). Raises WfvizError where another layer depends on the side of the pictures.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        net = build(backbone)
    state, head = net.state_dict(), find_head(net, backbone.n_classes)
    for name, learned in source.state_dict().items():
        if name.rpartition(".")[0] != head:
            state[name] = _fitted(name, learned, state[name], net)
    net.load_state_dict(state)
    return net


def _fitted(name: str, learned: Tensor, new: Tensor, net: nn.Module) -> Tensor:
    if learned.shape == new.shape:
        return learned
    if new.ndim == 4 and learned.shape[::2] + learned.shape[3:] == new.shape[::2] + new.shape[3:]:  # [filters, channels, k, k]
        return learned.mean(1, keepdim=True).expand_as(new) * (learned.shape[1] / new.shape[1])
    if name == "pos_embed":
        from timm.layers import resample_abs_pos_embed

        return resample_abs_pos_embed(learned, list(net.patch_embed.grid_size), num_prefix_tokens=net.num_prefix_tokens)
    raise WfvizError(f"{name} was learned as {list(learned.shape)} and would have to be {list(new.shape)} for these pictures; start from random weights, without --from")

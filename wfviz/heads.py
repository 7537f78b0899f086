"""What a gate of an attention projection belongs to: a block, a head, and the query, key or value."""

from __future__ import annotations

import json
from functools import lru_cache

PARTS = ("q", "k", "v")


def is_joint(layer: str, n_filters: int) -> bool:
    """Whether a layer makes queries, keys and values at once, as timm's `qkv` does."""
    return layer.rpartition(".")[2] == "qkv" and n_filters % 3 == 0


def place(index: int, n_filters: int, heads: int) -> tuple[str, int, int]:
    """(part, head, feature of the head) of one output of a joint projection.

    The outputs stand in the order of a reshape to [3, heads, features].

    >>> place(70, 192, 4)
    ('k', 0, 6)
    """
    features = n_filters // 3 // heads
    part, rest = divmod(index, heads * features)
    return PARTS[part], *divmod(rest, features)


def heads_of(backbone: dict) -> dict[str, int]:
    """Heads of every joint projection of a registered backbone, {layer: heads}, from its spec as the card has it.

    The network is built without memory for its weights. Empty where it cannot be built here.
    """
    return dict(_heads_of(json.dumps(backbone, sort_keys=True)))


@lru_cache(maxsize=16)
def _heads_of(backbone: str) -> tuple[tuple[str, int], ...]:
    import torch

    from wfviz.backbones import build
    from wfviz.specs import BackboneSpec

    try:
        with torch.device("meta"):
            net = build(BackboneSpec.from_dict({**json.loads(backbone), "pretrained": False}))
    except Exception:  # a network of somebody's own raises what it likes, others at an operation that needs real memory
        return ()
    found = []
    for name, module in net.named_modules():
        heads = getattr(module, "num_heads", None)
        if isinstance(heads, int) and heads > 0 and hasattr(module, "qkv"):
            found.append((f"{name}.qkv".removeprefix("."), heads))
    return tuple(found)

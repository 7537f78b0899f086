"""Which layers of a classifier are gated, and which BatchNorm stands behind which convolution."""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch.fx
from torch import nn

from wfviz.errors import WfvizError, nearest

PROJECTIONS = {
    "qkv", "q", "k", "v", "kv", "query", "key", "value", "to_q", "to_k", "to_v", "to_kv", "to_qkv",
    "q_proj", "k_proj", "v_proj", "qkv_proj",
}
EDGE = 3  # times as many linear layers as convolutions: these are only the way in, as of a transformer without projections of its own


def is_gateable(module: nn.Module) -> bool:
    """A convolution or linear layer whose output is linear in its stored weight, filter by filter.

    Not one whose weight is made anew at every call, by `weight_norm`, `spectral_norm` or `prune`: what is folded into it would be lost.
    """
    known = type(module) in (nn.Conv2d, nn.Linear) or type(module).__name__ == "Conv2dSame"
    return known and isinstance(module.weight, nn.Parameter)


def find_head(backbone: nn.Module, n_classes: int) -> str:
    """Name of the last layer with `n_classes` outputs: the classifier, which is never gated."""
    width = {nn.Conv2d: "out_channels", nn.Linear: "out_features"}
    heads = [
        name
        for name, module in backbone.named_modules()
        for kind, attribute in width.items()
        if isinstance(module, kind) and getattr(module, attribute) == n_classes
    ]
    if not heads:
        raise WfvizError(f"the network has no layer with {n_classes} outputs, so its classifier cannot be told")
    return heads[-1]


def choose_layers(backbone: nn.Module, n_classes: int, patterns: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Names of the layers to gate, in the order of definition.

    Without patterns as in the paper: attention projections where there are any, else convolutions; a
    network with neither has its hidden linear layers gated. Patterns are shell-style (`layer4.*`) and
    match convolutions and linear layers; a pattern that matches nothing, or only the head, is an error.
    """
    head = find_head(backbone, n_classes)
    able = [n for n, m in backbone.named_modules() if is_gateable(m) and n != head]
    if patterns is not None:
        if not patterns:
            raise WfvizError("no layer is named; leave the layers out to have them chosen")
        return _matching(backbone, able, head, patterns)
    linear = [n for n in able if isinstance(backbone.get_submodule(n), nn.Linear)]
    projections = [n for n in linear if n.rpartition(".")[2] in PROJECTIONS]
    convolutions = [n for n in able if n not in set(linear)]
    found = projections or convolutions or linear
    if not found:
        raise WfvizError("the network has no convolution, attention projection or hidden linear layer to gate")
    if found is convolutions and len(linear) > EDGE * len(convolutions):
        raise WfvizError(
            f"the network has {len(convolutions)} convolutions beside {len(linear)} hidden linear layers, so gating the former would say little; "
            f"name the layers to gate, such as {linear[len(linear) // 2]!r} (layers, on the command line --layers)"
        )
    return tuple(found)


def _matching(backbone: nn.Module, able: list[str], head: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
    everything = dict(backbone.named_modules())
    for pattern in patterns:
        if any(fnmatchcase(name, pattern) for name in able):
            continue
        if fnmatchcase(head, pattern):
            raise WfvizError(f"layer {pattern!r} is the classification head, which is never gated")
        if pattern in everything:
            kind = type(everything[pattern]).__name__
            raise WfvizError(f"layer {pattern!r} is a {kind}; gates go on Conv2d and Linear layers only")
        raise WfvizError(nearest(pattern, able, "layer"))
    return tuple(name for name in able if any(fnmatchcase(name, p) for p in patterns))


def norms_behind(backbone: nn.Module, layers: tuple[str, ...]) -> dict[str, str]:
    """{BatchNorm name: convolution name} where nothing else reads the convolution's output.

    Read from the traced graph; a network that cannot be traced gives {}, and its gates are applied by a
    multiplication of their own.
    """
    modules = dict(backbone.named_modules())
    if not any(isinstance(m, nn.BatchNorm2d) for m in modules.values()):
        return {}
    try:
        graph = torch.fx.Tracer().trace(backbone)
    except Exception:  # whatever the network's own Python raises on symbolic input
        return {}
    calls = [node for node in graph.nodes if node.op == "call_module"]
    times = {node.target: sum(other.target == node.target for other in calls) for node in calls}
    behind = {}
    for norm in calls:
        module, before = modules.get(norm.target), norm.args[0] if norm.args else None
        if type(module) is not nn.BatchNorm2d or module.running_mean is None or times[norm.target] > 1:
            continue
        if before in calls and before.target in layers and len(before.users) == 1 and times[before.target] == 1:
            if type(modules[before.target]) is nn.Conv2d:
                behind[norm.target] = before.target
    return behind

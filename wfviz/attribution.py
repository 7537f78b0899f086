"""Where a network looks, with and without a class forgotten: attributions of one output to the picture.

Integrated gradients, Grad-CAM and occlusion are captum's; attention rollout follows Abnar & Zuidema 2020. All of
them hook into modules while they run, so they work on a copy of the network that nobody else calls, one at a time.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from wfviz.errors import WfvizError, nearest
from wfviz.filtering import WFNet
from wfviz.filtering.layers import WFLinear
from wfviz.filtering.private import private_copy

STEPS = 32  # of the path that integrated gradients integrates over


def methods(net: WFNet) -> tuple[str, ...]:
    """Names of the methods that fit the network: Grad-CAM needs convolutions, rollout needs attention."""
    own = ["grad_cam"] if _cam_layers(net) else []
    own += ["rollout"] if _attentions(net) else []
    return ("integrated_gradients", *own, "occlusion")


def cam_layers(net: WFNet) -> tuple[str, ...]:
    """Names of the convolutions at which Grad-CAM can look, in forward order."""
    return tuple(_cam_layers(net))


def attribute(
    net: WFNet, x: Tensor, target: int, method: str, forget: object = None, layer: str | None = None
) -> np.ndarray:
    """How much every pixel speaks for (positive) or against class `target`: float32 [B, H, W], unscaled.

    x: [B, channels, H, W] as the network takes it. forget: as for the network. layer: gated convolution for
    Grad-CAM, the last one by default. Rollout is about where the network looks, whatever the target.
    Raises WfvizError for a method that does not fit the network.
    """
    known = methods(net)
    if method not in known:
        raise WfvizError(nearest(method, known, "attribution method"))
    with private_copy(net) as own:
        found = _METHODS[method](own, x.detach(), target, forget, layer)
    return found.detach().float().cpu().numpy()


def agreement(before: np.ndarray, after: np.ndarray) -> float:
    """Correlation of two maps [H, W] in [-1, 1]; nan where one of them is flat."""
    a, b = before.ravel() - before.mean(), after.ravel() - after.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norm) if norm > 0 else float("nan")


# --- methods ------------------------------------------------------------------------------------


def _integrated_gradients(net: WFNet, x: Tensor, target: int, forget: object, _layer: str | None) -> Tensor:
    """Sundararajan et al. 2017, from the mean picture (0 after normalisation) to x; summed over channels."""
    from captum.attr import IntegratedGradients

    return IntegratedGradients(net).attribute(
        x, target=target, additional_forward_args=(forget,), n_steps=STEPS, internal_batch_size=256
    ).sum(1)


def _grad_cam(net: WFNet, x: Tensor, target: int, forget: object, layer: str | None) -> Tensor:
    """Selvaraju et al. 2017, at the output of a gated convolution (and the BatchNorm that carries its gate)."""
    from captum.attr import LayerAttribution, LayerGradCam

    layers = _cam_layers(net)
    name = layer or list(layers)[-1]
    if name not in layers:
        raise WfvizError(nearest(name, layers, "convolution"))
    maps = LayerGradCam(net, layers[name]).attribute(x, target=target, additional_forward_args=(forget,), relu_attributions=False)
    return LayerAttribution.interpolate(maps, tuple(x.shape[2:]), "bilinear")[:, 0]


def _occlusion(net: WFNet, x: Tensor, target: int, forget: object, _layer: str | None) -> Tensor:
    """Zeiler & Fergus 2014: how far the output falls when a window of an eighth of the side, two pixels at least, turns grey."""
    from captum.attr import Occlusion

    window = max(2, x.shape[-1] // 8)
    with torch.no_grad():
        return Occlusion(net).attribute(
            x, target=target, additional_forward_args=(forget,), perturbations_per_eval=32,
            sliding_window_shapes=(x.shape[1], window, window), strides=(x.shape[1], max(1, window // 2), max(1, window // 2)),
        ).mean(1)  # every channel has the whole fall


def _rollout(net: WFNet, x: Tensor, _target: int, forget: object, _layer: str | None) -> Tensor:
    """Abnar & Zuidema 2020: attention multiplied through the blocks, half of every step being the residual."""
    attentions, seen = _attentions(net), []

    def keep(attention: nn.Module):
        def hook(_module, _inputs, qkv: Tensor) -> None:
            b, n, width = qkv.shape
            q, k, _ = qkv.view(b, n, 3, attention.num_heads, width // (3 * attention.num_heads)).permute(2, 0, 3, 1, 4)
            seen.append((attention.q_norm(q) * attention.scale @ attention.k_norm(k).transpose(-2, -1)).softmax(-1).mean(1))

        return hook

    hooks = [attention.qkv.register_forward_hook(keep(attention)) for attention in attentions]
    try:
        with torch.no_grad():
            net(x, forget=forget)
    finally:
        for hook in hooks:
            hook.remove()
    eye = torch.eye(seen[0].shape[-1], device=x.device)
    flow = eye.expand_as(seen[0])
    for attention in seen:
        step = (attention + eye) / 2
        flow = step / step.sum(-1, keepdim=True) @ flow
    prefix = int(getattr(net.backbone, "num_prefix_tokens", 1))
    patches = flow[:, 0, prefix:] if prefix else flow.mean(1)
    side = round(patches.shape[-1] ** 0.5)
    maps = patches.view(len(x), 1, side, side)
    return nn.functional.interpolate(maps, x.shape[2:], mode="bilinear", align_corners=False)[:, 0]


_METHODS = {
    "integrated_gradients": _integrated_gradients,
    "grad_cam": _grad_cam,
    "rollout": _rollout,
    "occlusion": _occlusion,
}


def _cam_layers(net: WFNet) -> dict[str, nn.Module]:
    """{convolution name: the module whose output carries its gate}, for convolutions over space."""
    return {name: module for name, module in net.outlets().items() if not isinstance(module, WFLinear)}


def _attentions(net: WFNet) -> list[nn.Module]:
    """timm's attention modules with a joint qkv projection that is gated."""
    return [m for m in net.modules() if isinstance(getattr(m, "qkv", None), WFLinear) and hasattr(m, "num_heads") and hasattr(m, "q_norm")]

"""The classifiers: a registry by name, over timm and torchvision, with stems for small pictures.

`build(BackboneSpec(...))` gives the network, `recipe(name)` how it is best trained and which of its
layers are gated. Any other timm or torchvision name works as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from wfviz.errors import WfvizError, nearest
from wfviz.plugins import checked_network, is_own
from wfviz.specs import BackboneSpec, InputSpec

SMALL = 64  # pictures up to this size get a 3x3 stem and small patches
LARGEST = 4096  # pixels; a number beyond it is a mistake


@dataclass(frozen=True)
class Recipe:
    """How a registered backbone is built, trained and gated."""

    make: Callable[[BackboneSpec], nn.Module]
    optimizer: str = "sgd"
    lr: float = 0.1
    weight_decay: float = 5e-4
    epochs: int = 30
    least_steps: int = 1500  # small data sets get more epochs, up to this many optimiser steps
    layers: tuple[str, ...] | None = None  # gated layers; None: as the paper (convolutions or qkv)
    transformer: bool = False


_registry: dict[str, Recipe] = {}


def backbone(name: str, **how):
    """Register `make(spec) -> nn.Module` under a name, with the fields of `Recipe` as keywords."""

    if isinstance(how.get("layers"), str):
        how["layers"] = (how["layers"],)

    def register(make):
        _registry[name] = Recipe(make, **how)
        return make

    return register


def names() -> tuple[str, ...]:
    """The registered names."""
    return tuple(_registry)


def recipe(name: str) -> Recipe:
    """The recipe of a registered backbone; an unregistered name gets the one of its kind."""
    if name in _registry:
        return _registry[name]
    transformer = any(word in name for word in ("vit", "deit", "swin", "beit", "mixer"))
    how = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05} if transformer else {}
    return Recipe(_from_libraries, transformer=transformer, **how)


def build(spec: BackboneSpec) -> nn.Module:
    """A new network for `spec`, with random (or, if asked, the library's pretrained) weights.

    Raises WfvizError for an unknown name, a size it cannot take, or pretrained weights that cannot be had.
    """
    if spec.channels not in (1, 3):
        raise WfvizError(f"pictures have 1 or 3 channels, not {spec.channels}")
    if not 1 <= spec.size <= LARGEST:
        raise WfvizError(f"pictures have 1 to {LARGEST} px, not {spec.size}")
    if spec.n_classes < 2:
        raise WfvizError(f"a classifier has at least two classes, not {spec.n_classes}")
    make = recipe(spec.name).make
    return checked_network(make, spec) if is_own(make) else make(spec)


# --- convolutional ------------------------------------------------------------------------------


class CNN(nn.Module):
    """The network of Fabbri 2024, section 3.1: two 3x3 convolutions with pooling, then 128, 64 and C units."""

    def __init__(self, n_classes: int, channels: int = 1, size: int = 28):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.act = nn.ReLU()
        self.fc1 = nn.Linear(64 * (size // 4) ** 2, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, n_classes)

    def forward(self, x):  # [B, channels, size, size] -> logits [B, n_classes]
        x = self.pool(self.act(self.conv1(x)))
        x = self.pool(self.act(self.conv2(x)))
        x = self.act(self.fc1(x.flatten(1)))
        return self.fc3(self.act(self.fc2(x)))


@backbone("cnn", optimizer="adamw", lr=2e-3, weight_decay=1e-2, epochs=12, layers=("conv*", "fc1", "fc2"))
def cnn(spec: BackboneSpec) -> nn.Module:
    if spec.size < 4:
        raise WfvizError(f"cnn needs pictures of at least 4 px, not {spec.size}")
    _no_weights(spec)
    return CNN(spec.n_classes, spec.channels, spec.size)


def _vgg(name: str):
    def make(spec: BackboneSpec) -> nn.Module:
        from torchvision import models

        if spec.size > SMALL:
            return _from_libraries(spec, f"{name}_bn")
        _no_weights(spec)
        net = models.get_model(f"{name}_bn", num_classes=spec.n_classes, init_weights=False)
        net.features[0] = nn.Conv2d(spec.channels, 64, 3, padding=1)
        size = spec.size
        for index, layer in enumerate(net.features):
            if isinstance(layer, nn.MaxPool2d):
                size, too_small = size // 2, size < 2
                if too_small:
                    net.features[index], size = nn.Identity(), 1
        net.avgpool, net.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, spec.n_classes)
        _initialise(net)
        return net

    return make


for _name in ("vgg11", "vgg16"):
    backbone(_name, lr=0.05)(_vgg(_name))


def _resnet(spec: BackboneSpec) -> nn.Module:
    if spec.size <= SMALL:
        _no_weights(spec)
    net = _from_libraries(spec)
    if spec.size <= SMALL:  # the stem of He et al. 2016, section 4.2: one 3x3 convolution, no pooling
        net.conv1 = nn.Conv2d(spec.channels, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        net.maxpool = nn.Identity()
    return net


for _name in ("resnet18", "resnet50"):
    backbone(_name, lr=0.1)(_resnet)


# --- transformers -------------------------------------------------------------------------------


def patch_size(size: int) -> int:
    """At most 8 x 8 patches for small pictures, 16 px patches for large ones.

    >>> [patch_size(s) for s in (8, 28, 32, 64, 224)]
    [2, 4, 4, 8, 16]
    """
    if size > SMALL:
        return 16
    return next(p for p in range(max(2, math.ceil(size / 8)), size + 1) if size % p == 0)


def _vit(width: int, depth: int, heads: int, pretrained: str | None):
    def make(spec: BackboneSpec) -> nn.Module:
        if spec.size > SMALL and pretrained is not None:
            return _from_libraries(spec, pretrained)
        _no_weights(spec)
        from timm.models.vision_transformer import VisionTransformer

        net = VisionTransformer(
            img_size=spec.size, patch_size=patch_size(spec.size), in_chans=spec.channels,
            num_classes=spec.n_classes, embed_dim=width, depth=depth, num_heads=heads,
            dynamic_img_size=True,  # smaller pictures have fewer patches: `pretrain --sizes`
        )
        for block in net.blocks:  # on CPUs the fused kernel costs half as much again in bfloat16, for its backward pass (benchmarks/attention.py)
            block.attn.fused_attn = torch.cuda.is_available()
        return net

    return make


_vit_recipe = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05, "epochs": 60, "least_steps": 4000, "transformer": True}
backbone("vit_micro", **_vit_recipe)(_vit(64, 4, 4, None))
backbone("vit_tiny", **_vit_recipe)(_vit(192, 12, 3, "vit_tiny_patch16_224"))
backbone("vit_small", **_vit_recipe)(_vit(384, 12, 6, "vit_small_patch16_224"))


# --- every other name ---------------------------------------------------------------------------


def _from_libraries(spec: BackboneSpec, name: str | None = None) -> nn.Module:
    """A timm model by its name, or else a torchvision one."""
    import timm

    name = name or spec.name
    try:
        net = _from_timm(spec, name) if timm.is_model(name) else _from_torchvision(spec, name)
        with torch.no_grad():  # some networks find out only now that these pictures do not fit
            net.eval()(torch.zeros(1, spec.channels, spec.size, spec.size))
        return net.train()
    except WfvizError:
        raise
    except OSError as error:  # hub and mirror errors are OSErrors
        raise WfvizError(f"the pretrained weights of {name} could not be fetched ({type(error).__name__}); is there a network?") from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WfvizError(f"{name} cannot be built for {spec.channels} x {spec.size} x {spec.size} pictures: {reason}") from None


def pretrained_inputs(net: nn.Module, inputs: InputSpec) -> InputSpec:
    """The normalisation that a timm network's own weights were trained with; else `inputs` as they are."""
    how = getattr(net, "pretrained_cfg", None) or {}
    mean, std = how.get("mean"), how.get("std")
    if not mean or not std or len(mean) != inputs.channels:
        return inputs
    return replace(inputs, mean=tuple(mean), std=tuple(std))


def _from_timm(spec: BackboneSpec, name: str) -> nn.Module:
    import timm

    _same_classes(spec, getattr(timm.get_pretrained_cfg(name), "num_classes", None))  # timm would put a head of chance in its place
    how = {"pretrained": spec.pretrained, "num_classes": spec.n_classes, "in_chans": spec.channels}
    try:
        return timm.create_model(name, img_size=spec.size, **how)
    except TypeError as error:  # most convolutional networks take any size and do not ask
        if "img_size" not in str(error):
            raise
        return timm.create_model(name, **how)


def _from_torchvision(spec: BackboneSpec, name: str) -> nn.Module:
    from torchvision import models

    if name not in models.list_models(module=models):
        import timm

        raise WfvizError(nearest(name, [*names(), *timm.list_models(), *models.list_models(module=models)], "backbone") + " (one of your own: give its file by --plugin)")
    if spec.channels != 3:
        raise WfvizError(f"{name} takes pictures of 3 channels, not {spec.channels}")
    if not spec.pretrained:
        return models.get_model(name, num_classes=spec.n_classes, **({"aux_logits": False} if name == "googlenet" else {}))  # a network has one answer
    _same_classes(spec, 1000)
    return models.get_model(name, weights="DEFAULT")


def _same_classes(spec: BackboneSpec, known: int | None) -> None:
    if spec.pretrained and known not in (None, spec.n_classes):
        raise WfvizError(f"the pretrained weights of {spec.name} have {known} classes, not {spec.n_classes}; train it first: python -m wfviz pretrain")


def _no_weights(spec: BackboneSpec) -> None:
    if spec.pretrained:
        raise WfvizError(f"there are no pretrained weights of {spec.name} for pictures of {spec.size} px")


def _initialise(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(module.bias)

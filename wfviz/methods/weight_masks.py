"""Weight filtering with one gate on every single weight: masks that take the class out of the features as well.

Gates on whole filters silence a class at the output, but a linear probe still finds it (`docs/untraining.md`). The same
objective with a gate a weight, and a probe in the loop (`wfviz/deep.py`), closes about one weight in a hundred. In the end a gate
is rounded: a weight stays as it is, or becomes 0, so a class costs one bit a weight, and nothing is fine-tuned.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from wfviz.backbones import recipe
from wfviz.deep import HeadInput, separability
from wfviz.filtering.choice import choose_layers
from wfviz.methods.finetuning import batch, device_of, finetune
from wfviz.methods.registry import forget_set, method, retain_set
from wfviz.objective import towards


def gated_weights(model: nn.Module, n_classes: int, backbone: str | None) -> dict[str, nn.Parameter]:
    """{name: weight or bias} of the layers that a WF-Net around `model` would gate."""
    layers = choose_layers(model, n_classes, recipe(backbone).layers if backbone else None)
    return {f"{layer}.{kind}": p for layer in layers for kind, p in model.get_submodule(layer).named_parameters(recurse=False)}


def unlearn(model, forget, data, spec, progress):
    n, device = len(data.classes), device_of(model)
    gone, kept = forget_set(data.train, forget), retain_set(data.train, forget)
    gated = gated_weights(model, n, spec.backbone.name if spec.backbone else None)
    model.requires_grad_(False)
    alphas = {name: torch.full_like(p, spec.alpha_start, requires_grad=True) for name, p in gated.items()}
    number = sum(a.numel() for a in alphas.values())

    def loss(step: int) -> Tensor:
        x, _ = batch(gone, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        others, _ = batch(kept, data.inputs, spec.batch_size, spec.seed, step, device)
        x, half = torch.cat([x, others]), len(x)
        with torch.no_grad():
            target = model(x).index_fill(1, torch.tensor(forget, device=device), -torch.inf).softmax(1)
        gates = {name: torch.sigmoid(alpha) for name, alpha in alphas.items()}
        with HeadInput(model, n) as head:
            distance = towards(functional_call(model, {name: gated[name] * gate for name, gate in gates.items()}, (x,)), target)
        told = separability(head.features[:half], head.features[half:])
        closed = sum((1 - gate).sum() for gate in gates.values()) / number
        return spec.retain * distance[half:].mean() + distance[:half].mean() + spec.features * told + closed

    finetune(model, loss, spec, progress, parameters=alphas.values())
    with torch.no_grad():
        for name, alpha in alphas.items():
            gated[name].mul_(alpha > 0)
    return model


def mask_bytes(model, data) -> int:
    """One bit for every parameter, gated or not."""
    return -(-sum(p.numel() for p in model.parameters()) // 8)


method("weight_masks", "Weight filtering, single weights", source="after Poppi et al. 2024", stored=mask_bytes,
       steps=80, lr=0.3, optimizer="adam", batch_size=128, alpha_start=3.0, retain=10.0, features=1.0)(unlearn)

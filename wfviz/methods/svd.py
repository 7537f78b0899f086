"""Class forgetting without training, from the subspaces of activations (Kodge et al. 2024, Algorithm 1).

For every convolution and linear layer, A [n, D] holds what its filters read (patches of convolutions as rows of
`unfold`), for samples of the retained and of the forgotten classes. With A = S Σ Uᵀ and σ_i² = Σ_ii² / Σ_j Σ_jj² they take

    P = U Λ Uᵀ,  Λ_ii = α σ_i² / ((α − 1) σ_i² + 1)          (α weighs how much of the space counts)
    P_dis = P_f (I − P_r),  W ← W (I − P_dis)ᵀ

Since Λ is a function of σ² alone, P = α C ((α − 1) C + I)⁻¹ with C = Aᵀ A / tr(Aᵀ A): the same matrix without the
decomposition, from one Cholesky factor. α_r and α_f are those of a grid with the highest Acc_r · (1 − Acc_f), their score,
here on validation pictures (training pictures where those are too few); a pair that forgets all and costs nothing there ends the search. Left as they are: biases,
normalisations and grouped convolutions.

The source projects every layer, and so does the default. `shares` may name parts of the layers, counted from the head, that are
tried instead or beside: what the first layers read of a class, they read of the others too, and losing it costs retained accuracy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wfviz.data import Data, Pictures
from wfviz.errors import WfvizError
from wfviz.methods.finetuning import device_of, in_order
from wfviz.methods.registry import forget_set, method, retain_set
from wfviz.pretraining import accuracy_of
from wfviz.specs import InputSpec
from wfviz.training import generator

FEWEST = 100  # validation pictures below which one picture more or less would choose α


def patches(layer: nn.Conv2d | nn.Linear, x: Tensor, limit: int, draw: torch.Generator) -> Tensor:
    """What the filters of a layer read of its input x: [n, D] with D = weight[0].numel(), `limit` random rows at most."""
    if isinstance(layer, nn.Linear):
        rows = x.flatten(0, -2)
        return rows[_some(len(rows), limit, draw).to(x.device)]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = F.pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    for axis, (size, stride, gap) in enumerate(zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)):
        x = x.unfold(2 + axis, (size - 1) * gap + 1, stride)[..., ::gap]  # a view: nothing is copied
    b, _, height, width = x.shape[:4]
    places = _some(b * height * width, limit, draw).to(x.device)
    return x[places // (height * width), :, places // width % height, places % width].flatten(1)


def _some(n: int, limit: int, draw: torch.Generator) -> Tensor:
    return torch.randperm(n, generator=draw)[:limit]


def projectable(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Layers whose weight is stored as one matrix [filters, D]: linear ones and convolutions without groups."""
    return {
        name: module for name, module in model.named_modules()
        if (isinstance(module, nn.Linear) or (type(module) is nn.Conv2d and module.groups == 1)) and isinstance(module.weight, nn.Parameter)
    }


@torch.no_grad()
def second_moments(
    model: nn.Module, pictures: Pictures, inputs: InputSpec, *, limit: int, seed: int = 0, batch_size: int = 100
) -> dict[str, Tensor]:
    """{layer: C [D, D] = Aᵀ A / tr(Aᵀ A)} over about `limit` patches of each layer, evenly from all pictures."""
    totals: dict[str, Tensor] = {}
    draw = generator(seed, 0, 61)

    def reading(name):
        def hook(layer, args):
            rows = patches(layer, args[0], max(1, limit * seen // len(pictures)), draw)
            totals[name] = rows.T @ rows + totals.get(name, 0)

        return hook

    hooks = [layer.register_forward_pre_hook(reading(name)) for name, layer in projectable(model).items()]
    try:
        for x, _ in in_order(pictures, inputs, batch_size, device_of(model)):
            seen = len(x)
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total / total.trace().clamp_min(1e-12) for name, total in totals.items()}


def factor(c: Tensor, alpha: float) -> Tensor:
    """Cholesky factor of (α − 1) C + I; for α of at least 1."""
    return torch.linalg.cholesky((alpha - 1) * c + torch.eye(len(c), device=c.device, dtype=c.dtype))


def without_retained(weight: Tensor, c: Tensor, alpha: float) -> Tensor:
    """W (I − P_r) [filters, D], as 1 − Λ = (1 − σ²) / ((α − 1) σ² + 1)."""
    return torch.cholesky_solve((weight - weight @ c).T, factor(c, alpha)).T


def onto_forgotten(weight: Tensor, c: Tensor, alpha: float, root: Tensor) -> Tensor:
    """W P_f [filters, D]; root: `factor(c, alpha)`."""
    return alpha * torch.cholesky_solve((weight @ c).T, root).T


def score(model: nn.Module, kept: Pictures, gone: Pictures, inputs: InputSpec) -> float:
    """Acc_r · (1 − Acc_f) in [0, 1], higher is better (Kodge et al. 2024)."""
    return accuracy_of(model, kept, inputs) * (1 - accuracy_of(model, gone, inputs))


def judges(data: Data, forget: tuple[int, ...], limit: int, seed: int) -> tuple[Pictures, Pictures]:
    """Retained and forgotten validation pictures, `limit` of each at most; training pictures where there are fewer than `FEWEST`."""
    sides = [(of(data.val, forget), of(data.train, forget)) for of in (retain_set, forget_set)]
    return tuple((val if len(val) >= FEWEST else train).sample(limit, seed) for val, train in sides)


@method("svd", "SVD class forgetting", source="Kodge et al. 2024, Algorithm 1", samples=900, patches=3000, judged=500,
        alphas_r=(10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0), alphas_f=(3.0, 10.0, 30.0), shares=(1.0,))
@torch.no_grad()
def unlearn(model, forget, data, spec, progress):
    """samples: pictures of either side for the activations, of which `patches` rows a layer. judged: validation pictures. shares: each in (0, 1]."""
    if not all(0 < share <= 1 for share in spec.shares):
        raise WfvizError(f"shares is {spec.shares}; each is a part of the layers, over 0 and at most 1")
    sides = [of(data.train, forget).sample(spec.samples, spec.seed) for of in (retain_set, forget_set)]
    c_r, c_f = (second_moments(model, side, data.inputs, limit=spec.patches, seed=spec.seed) for side in sides)
    layers = {name: layer for name, layer in projectable(model).items() if name in c_r}
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    kept, gone = judges(data, forget, spec.judged, spec.seed)
    goal, best, chosen = accuracy_of(model, kept, data.inputs), -1.0, before
    grid = [(share, alpha_f, alpha_r) for share in spec.shares for alpha_f in spec.alphas_f for alpha_r in spec.alphas_r]
    left: dict[float, dict[str, Tensor]] = {}  # W (I − P_r) for every α_r
    roots, rooted = {}, None
    for tried, (share, alpha_f, alpha_r) in enumerate(grid):
        if alpha_f != rooted:
            roots, rooted = {name: factor(c_f[name], alpha_f) for name in layers}, alpha_f
        if alpha_r not in left:
            left[alpha_r] = {name: without_retained(w.flatten(1), c_r[name], alpha_r) for name, w in before.items()}
        deep = list(layers)[-max(1, round(share * len(layers))):]
        for name, layer in layers.items():
            layer.weight.copy_(before[name])
            if name in deep:
                layer.weight -= onto_forgotten(left[alpha_r][name], c_f[name], alpha_f, roots[name]).view_as(layer.weight)
        reached = score(model, kept, gone, data.inputs)
        if reached > best:
            best, chosen = reached, {name: layer.weight.clone() for name, layer in layers.items()}
        progress((tried + 1) / len(grid))
        if best >= goal:
            break
    for name, layer in layers.items():
        layer.weight.copy_(chosen[name])
    progress(1.0)
    return model

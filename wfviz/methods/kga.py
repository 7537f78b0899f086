"""Knowledge gap alignment (Wang et al. 2023) for image classifiers, as Luijken & Peeters 2023 describe it: Eq. 2 to 4, Algorithm 1.

A_D is the original, A* the network that forgets and starts as A_D, A_f is trained on the forget set D_f, A_n on unseen
data D_n; KL(p || q) = Σ p log(p / q). Over pairs (y, z) from (D_f, D_n) and pictures x of the retain set D_r

    L_a = mean | KL(A*(y) || A_f(y)) − KL(A_D(z) || A_n(z)) |                         (Eq. 2)
    L_r = mean KL(A*(x) || A_D(x)),   L = L_a + (1 − ratio) L_r                       (Eq. 3, Eq. 4 with Algorithm 1)

(Eq. 1 there prints dis(A_D, A_D) for the gap on D_n; that is a slip for dis(A_D, A_n), as in Eq. 2.) `inner_steps` batches of
D_r are averaged for every step of the optimiser.

What the source leaves open or what class forgetting asks for:
 - D_n is "taken from the test set" there. Here the test split is never touched, and D_n is the validation split.
 - The source forgets random samples. On unseen pictures of any class the gap of Eq. 2 is small, and a network that still
   knows the whole class already has it. So for a class (pairs "class") A_n never sees the class, and z is an unseen picture
   of it: A* shall be as far from A_f as a network that knows the class is from one that does not. "all" is the source's.
 - Helpers are trained like the original, for about `helper_steps` steps; label smoothing keeps their KL finite.
 - Normalisations keep their running statistics. `freeze` names the first blocks, counted from 1: layer1 to layer4 of a
   ResNet, blocks of a transformer, else the convolutions and hidden linear layers in order. A stem is in no block.
 - The source's Adam at 0.05 destroys the network, which it reports as catastrophic forgetting: `kga_seed` has its settings
   (but 20 steps in place of 10 epochs: nothing is left after a few of them), `kga` a smaller rate.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from wfviz.data import Data, Pictures
from wfviz.errors import WfvizError
from wfviz.filtering.choice import choose_layers, norms_behind
from wfviz.methods.finetuning import batch, device_of, finetune
from wfviz.methods.registry import MethodSpec, forget_set, method, retain_set
from wfviz.pretraining import pretrain, spec_for
from wfviz.specs import PretrainSpec
from wfviz.training import make_accelerator, steps_per_epoch


def kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) in nats of two sets of logits [B, C] -> [B]; 0 where they agree."""
    p, q = p.log_softmax(1), q.log_softmax(1)
    return (p.exp() * (p - q)).sum(1)


def alignment(forgetting: Tensor, helper_f: Tensor, original: Tensor, helper_n: Tensor) -> Tensor:
    """Eq. 2 of logits [B, C]: A*(y), A_f(y), A_D(z), A_n(z); the mean over the B pairs, at least 0, ideal 0."""
    return (kl(forgetting, helper_f) - kl(original, helper_n)).abs().mean()


def blocks(model: nn.Module, n_classes: int) -> list[list[nn.Module]]:
    """The blocks that `freeze` counts, each as its modules."""
    stages = [getattr(model, f"layer{i}") for i in range(1, 5) if hasattr(model, f"layer{i}")]
    if not stages and isinstance(getattr(model, "blocks", None), (nn.Sequential, nn.ModuleList)):
        stages = list(model.blocks)
    if stages:
        return [[stage] for stage in stages]
    layers = choose_layers(model, n_classes, ("*",))
    norms = {convolution: norm for norm, convolution in norms_behind(model, layers).items()}
    return [[model.get_submodule(part) for part in (name, norms.get(name)) if part] for name in layers]


def freeze(model: nn.Module, n_classes: int, which: str) -> None:
    """Parameters of the named blocks ("12": the first two; "0": none) do not learn."""
    there = blocks(model, n_classes)
    known = "".join(str(i + 1) for i in range(min(9, len(there))))
    for digit in which if which != "0" else "":
        if digit not in known:
            raise WfvizError(f"freeze is {which!r}; give 0 for none, or digits of {known}")
        for module in there[int(digit) - 1]:
            module.requires_grad_(False)


def helper(pictures: Pictures, data: Data, spec: MethodSpec, device: torch.device) -> nn.Module:
    """A network of the original's architecture trained on `pictures` alone, like the original, for about `spec.helper_steps` steps."""
    if spec.backbone is None:
        raise WfvizError(f"{spec.method} needs to know the backbone")
    epochs = max(1, round(spec.helper_steps / steps_per_epoch(len(pictures), spec.helper_batch)))
    how = PretrainSpec(epochs=epochs, batch_size=spec.helper_batch, seed=spec.seed)
    how = spec_for(spec.backbone.name, how, len(pictures))
    few = replace(data, train=pictures, val=pictures.sample(1))
    with tempfile.TemporaryDirectory() as folder:
        net, about = pretrain(few, replace(spec.backbone, pretrained=False), how, Path(folder), make_accelerator(device.type), show=False)
    if about["state"] == "interrupted":
        raise KeyboardInterrupt
    return net.to(device).requires_grad_(False)


def unseen(data: Data, forget: tuple[int, ...], pairs: str) -> tuple[Pictures, Pictures]:
    """(what A_n learns, where z comes from), both of the validation split."""
    if pairs not in ("class", "all"):
        raise WfvizError(f"pairs is {pairs!r}; it can be class or all")
    learned, drawn = (data.val, data.val) if pairs == "all" else (retain_set(data.val, forget), forget_set(data.val, forget))
    if not len(learned) or not len(drawn):
        raise WfvizError(f"kga needs validation pictures of {'all' if len(learned) else 'retained'} classes in {data.name}; try pairs=all")
    return learned, drawn


def unlearn(model, forget, data, spec, progress):
    gone, kept, device = forget_set(data.train, forget), retain_set(data.train, forget), device_of(model)
    learned, drawn = unseen(data, forget, spec.pairs)
    freeze(model, len(data.classes), spec.freeze)
    original = copy.deepcopy(model).requires_grad_(False)
    helper_f, helper_n = helper(gone, data, spec, device), helper(learned, data, spec, device)

    def loss(step):
        retaining = 0
        for inner in range(spec.inner_steps):
            x, _ = batch(kept, data.inputs, spec.batch_size, spec.seed, step * spec.inner_steps + inner, device)
            part = (1 - spec.ratio) / spec.inner_steps * kl(model(x), original(x)).mean()
            if inner < spec.inner_steps - 1:
                part.backward()  # one batch's activations at a time
            else:
                retaining = part
        y, _ = batch(gone, data.inputs, spec.batch_size, spec.seed, step, device)
        z, _ = batch(drawn, data.inputs, spec.batch_size, spec.seed, step, device)
        n = min(len(y), len(z))
        with torch.no_grad():
            others = helper_f(y[:n]), original(z[:n]), helper_n(z[:n])
        return retaining + alignment(model(y[:n]), *others)

    return finetune(model, loss, spec, progress)


_helpers = {"helper_steps": 60, "helper_batch": 64}
method("kga", "Knowledge gap alignment", source="Luijken & Peeters 2023, Eq. 2-4; Wang et al. 2023", steps=40, inner_steps=2, ratio=0.1,
       lr=0.0, optimizer="adam", batch_size=64, freeze="0", pairs="class", **_helpers)(unlearn)
method("kga_seed", "Knowledge gap alignment, settings of its source", source="Luijken & Peeters 2023, section 5.1", steps=20, inner_steps=15,
       ratio=0.1, lr=0.05, optimizer="adam", batch_size=128, freeze="0", pairs="all", **_helpers)(unlearn)

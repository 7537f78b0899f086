"""Refined unlearning, a meta-algorithm (Zhao et al. 2024): the forget set is split into homogeneous parts, unlearned one by one.

The abstract names both stages; it leaves open here what makes parts homogeneous, their order, and the algorithm of each.
Taken: `by` "confidence" sorts the pictures by the probability that the network gives their label, a cheap stand-in for
memorisation (the memorised ones are the least confident), and cuts into parts of equal size; "features" clusters the
penultimate features (k-means). Parts are unlearned from the most to the least confident, each by the method `inner` of the
registry against the whole retain set, with its number of steps divided among the parts.
"""

from __future__ import annotations

import json
from dataclasses import replace

import torch
from torch import Tensor, nn

from wfviz.data import Data
from wfviz.errors import WfvizError
from wfviz.filtering.choice import find_head
from wfviz.methods.concept_poisoning import penultimate
from wfviz.methods.finetuning import device_of, in_order
from wfviz.methods.registry import Method, forget_set, get, method, of_classes


@torch.no_grad()
def confidence(model: nn.Module, pictures, inputs) -> Tensor:
    """[N] in [0, 1] on the CPU: the probability of every picture's own label."""
    batches = in_order(pictures, inputs, 256, device_of(model))
    return torch.cat([model(x).softmax(1).gather(1, y[:, None])[:, 0] for x, y in batches]).cpu()


def refine(sure: Tensor, parts: int, features: Tensor | None = None, seed: int = 0) -> list[Tensor]:
    """Indices of `parts` disjoint groups that together are everything, the most confident group first; empty ones are left out.

    sure: [N] confidences. features: [N, D] to cluster by; None: groups of equal size by confidence.
    """
    if features is None:
        groups = sure.argsort(descending=True, stable=True).tensor_split(parts)
        return [group for group in groups if len(group)]
    from sklearn.cluster import KMeans

    found = KMeans(min(parts, len(features)), n_init=4, random_state=seed).fit_predict(features.cpu().numpy())
    groups = [torch.from_numpy((found == k).nonzero()[0]) for k in range(parts)]
    return sorted((group for group in groups if len(group)), key=lambda group: -float(sure[group].mean()))


def only(data: Data, forget: tuple[int, ...], part: Tensor) -> Data:
    """The data with no other pictures to forget than `part`, indices within the forget set."""
    gone = of_classes(data.train, forget).cpu()
    kept, chosen = (~gone).nonzero()[:, 0], gone.nonzero()[:, 0][part]
    return replace(data, train=data.train.subset(torch.cat([chosen, kept]).sort().values))


def inner_method(name: str) -> Method:
    inner = get(name)
    if inner.reference or inner.once or name == "rum":
        raise WfvizError(f"rum cannot unlearn part by part with {name}; take a method that fine-tunes, like salun")
    return inner


def depends(spec) -> str:
    """The inner method as it is now; one that will not do fails in its row."""
    try:
        inner = inner_method(spec.inner)
    except WfvizError:
        return ""
    return json.dumps([inner.settings, inner.text], sort_keys=True)


@method("rum", "RUM", source="Zhao et al. 2024 (abstract)", depends=depends, inner="salun", parts=3, by="confidence", steps=0, lr=0.0)
def unlearn(model, forget, data, spec, progress):
    """inner: a method of the registry. parts: groups, at least 1. by: confidence or features. steps, lr: of `inner`, 0: its own."""
    if spec.by not in ("confidence", "features"):
        raise WfvizError(f"by is {spec.by!r}; it can be confidence or features")
    if spec.parts < 1:
        raise WfvizError(f"parts is {spec.parts}; at least one part is needed")
    inner, gone = inner_method(spec.inner), forget_set(data.train, forget)
    head = model.get_submodule(find_head(model, len(data.classes)))
    features = penultimate(model, head, gone, data.inputs).flatten(1) if spec.by == "features" else None
    groups = refine(confidence(model, gone, data.inputs), spec.parts, features, spec.seed)
    changes = {key: value for key, value in (("steps", spec.steps), ("lr", spec.lr)) if value}
    if steps := {**inner.settings, **changes}.get("steps"):
        changes["steps"] = max(1, steps // len(groups))
    for place, part in enumerate(groups):
        how = inner.spec(spec.seed + place, spec.backbone, spec.pretraining, **changes)
        model = inner.unlearn(model.eval().requires_grad_(True), forget, only(data, forget, part), how, lambda done, place=place: progress((place + done) / len(groups)))
    return model

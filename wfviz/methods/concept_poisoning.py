"""Class unlearning by concepts and data poisoning (Chang et al. 2024).

Only the abstract is at hand: a post-hoc concept bottleneck and integrated gradients find the concepts of a class, then
"data poisoning with random and targeted labels" cuts the link between the class and the network. It leaves open what the
concepts are, what a targeted label is, who gets one, and how the poisoned data are learned. Taken here:
 - Concepts are the penultimate features, which the head reads a class off, as from a bottleneck; no annotated concepts needed.
 - Integrated gradients (captum) from the mean feature of the training pictures to a picture's features say how much each
   concept speaks for the class. The positive part, averaged over pictures of a class, is its profile.
 - The targeted label is the retained class that shares most concepts: the highest cosine between its profile and the forgotten
   class's. The `targeted` share of the forgotten pictures nearest to that profile get it, the rest a random retained label.
 - The labels stay for good (poisoned data), and are learned in mini-batches beside as many retained pictures.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wfviz.data import Pictures
from wfviz.errors import WfvizError
from wfviz.filtering.choice import find_head
from wfviz.methods.finetuning import batch, device_of, finetune, in_order
from wfviz.methods.random_labels import other_labels
from wfviz.methods.registry import forget_set, method, retain_set
from wfviz.specs import InputSpec

PATH = 8  # points of the path that is integrated over; the head is linear, so that few are exact


@torch.no_grad()
def penultimate(model: nn.Module, head: nn.Module, pictures: Pictures, inputs: InputSpec) -> Tensor:
    """What the head reads: [N, ...] features of every picture."""
    seen = []
    hook = head.register_forward_pre_hook(lambda _layer, args: seen.append(args[0]))
    try:
        for x, _ in in_order(pictures, inputs, 256, device_of(model)):
            model(x)
    finally:
        hook.remove()
    return torch.cat(seen)


def concepts(head: nn.Module, features: Tensor, targets: Tensor, baseline: Tensor) -> Tensor:
    """[N, D], at least 0: how much each feature speaks for class targets[i], by integrated gradients from `baseline`."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise WfvizError("concept_poisoning needs captum; pip install captum") from None

    def logits(a: Tensor) -> Tensor:
        out = head(a)
        return out.flatten(2).mean(2) if out.ndim > 2 else out  # a convolution that classifies is averaged over space

    found = [
        IntegratedGradients(logits).attribute(part, baseline.expand_as(part), target=target, n_steps=PATH).detach()
        for part, target in zip(features.split(512), targets.split(512), strict=True)
    ]
    return torch.cat(found).flatten(2).sum(2).clamp_min(0) if features.ndim > 2 else torch.cat(found).clamp_min(0)


def profiles(attributions: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """[C, D] of unit length: the mean attribution over a class's pictures; 0 for a class without any."""
    sums = torch.zeros(n_classes, attributions.shape[1], device=attributions.device, dtype=attributions.dtype)
    return F.normalize(sums.index_add_(0, labels.to(sums.device), attributions), dim=1)


def poisoned(attributions: Tensor, labels: Tensor, known: Tensor, forget: tuple[int, ...], targeted: float, wrong: Tensor) -> Tensor:
    """Labels [N] for the forgotten pictures.

    attributions: [N, D] of these pictures, for their own `labels` [N]. known: [C, D], the profiles of all classes.
    wrong: [N] labels for those that get no targeted one.
    """
    found = wrong.clone()
    for c in forget:
        shared = known @ known[c]
        shared[list(forget)] = -1
        nearest = int(shared.argmax())
        mine = (labels == c).nonzero()[:, 0]
        closeness = F.normalize(attributions[mine], dim=1) @ known[nearest]
        found[mine[closeness.topk(round(targeted * len(mine))).indices]] = nearest
    return found


@method("concept_poisoning", "Concept poisoning", source="Chang et al. 2024 (abstract)", steps=100, lr=0.0, optimizer="adam", batch_size=128,
        targeted=0.5, samples=2000)
def unlearn(model, forget, data, spec, progress):
    """targeted: share of the forgotten pictures with the targeted label. samples: retained pictures for the profiles."""
    gone, kept, device = forget_set(data.train, forget), retain_set(data.train, forget), device_of(model)
    head = model.get_submodule(find_head(model, len(data.classes)))
    some = kept.sample(spec.samples, spec.seed)
    labels = torch.cat([gone.labels, some.labels]).to(device)
    features, part = [penultimate(model, head, side, data.inputs) for side in (gone, some)], len(gone) / len(data.train)
    mean = part * features[0].mean(0, keepdim=True) + (1 - part) * features[1].mean(0, keepdim=True)  # of the training pictures
    attributions = concepts(head, torch.cat(features), labels, mean)
    known = profiles(attributions, labels, len(data.classes))
    wrong = other_labels(forget, len(data.classes), len(gone), spec.seed, 0).to(device)
    lies = poisoned(attributions[: len(gone)], labels[: len(gone)], known, forget, spec.targeted, wrong)
    poison = gone.subset(torch.arange(len(gone)))
    poison.labels = lies.to(gone.labels.device)

    def loss(step):
        x, y = batch(poison, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        rx, ry = batch(kept, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        return F.cross_entropy(model(torch.cat([x, rx])), torch.cat([y, ry]))

    return finetune(model, loss, spec, progress)

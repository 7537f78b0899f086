"""Selective unlearning: only the weights that matter for the class may change (Fabbri 2024, section 3.2).

The source names three steps and no formula for any of them. What it leaves open, and what is taken here:
 1. "gradients and activations" tell the relevant weights: ∂ logit of the label / ∂ w is, for every weight, the
    activation it reads times the gradient at its output. Its absolute value, summed over batches of the forget set,
    is divided by the same over as many retained pictures (plus that parameter's mean, so that no ratio is over zero).
 2. "not heavily involved" weights are frozen: the `share` with the highest ratio learns, gradients elsewhere are zero.
 3. "a penalty on predictions for class 6" is −log(1 − p_c): unlike p_c it still pulls where p_c is 1. The other
    classes have the cross-entropy of the source; with `reassign` the forgotten pictures are taught to be that class
    (the source's 6 → 3).
"""

import torch
import torch.nn.functional as F

from wfviz.errors import WfvizError
from wfviz.methods.finetuning import batch, device_of, finetune
from wfviz.methods.masks import freezing, gradients, top_share
from wfviz.methods.registry import forget_set, method, retain_set


def penalty(logits: torch.Tensor, forget: tuple[int, ...]) -> torch.Tensor:
    """[B, C] -> [B]: −log(1 − p), p the probability of all classes in `forget` together; at least 0, ideal 0."""
    others = [c for c in range(logits.shape[1]) if c not in forget]
    return logits.logsumexp(1) - logits[:, others].logsumexp(1)


def relevance(model, gone, kept, inputs) -> dict[str, torch.Tensor]:
    """{parameter: at least 0, higher = matters more for the pictures `gone` than for `kept`}; see step 1."""
    def own_logit(logits, labels):
        return logits.gather(1, labels[:, None]).sum()

    there = gradients(model, gone, inputs, own_logit, each=torch.abs)
    elsewhere = gradients(model, kept, inputs, own_logit, each=torch.abs)
    return {name: there[name] / (elsewhere[name] + elsewhere[name].mean() + 1e-12) for name in there}


@method("selective", "Selective unlearning", source="Fabbri 2024, section 3.2", steps=100, lr=0.0, optimizer="adam", batch_size=128,
        share=0.3, weight=1.0, samples=500, reassign=-1)
def unlearn(model, forget, data, spec, progress):
    """share: of all weights that learn. weight: of the penalty. samples: pictures for the relevance. reassign: class or −1."""
    if spec.reassign != -1 and not 0 <= spec.reassign < len(data.classes):
        raise WfvizError(f"reassign is class {spec.reassign}; {data.name} has classes 0 to {len(data.classes) - 1} (-1: none)")
    if spec.reassign in forget:
        raise WfvizError(f"class {data.classes[spec.reassign]} is to be forgotten, so nothing can be reassigned to it")
    gone, kept, device = forget_set(data.train, forget), retain_set(data.train, forget), device_of(model)
    scores = relevance(model, gone.sample(spec.samples, spec.seed), kept.sample(spec.samples, spec.seed), data.inputs)

    def loss(step):
        x, _ = batch(gone, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        rx, ry = batch(kept, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        logits = model(torch.cat([x, rx]))
        there, elsewhere = logits[: len(x)], logits[len(x) :]
        forgetting = spec.weight * penalty(there, forget).mean()
        if spec.reassign != -1:
            forgetting = forgetting + F.cross_entropy(there, torch.full((len(x),), spec.reassign, device=device))
        return forgetting + F.cross_entropy(elsewhere, ry)

    return finetune(model, loss, spec, progress, after_backward=freezing(model, top_share(scores, spec.share)))

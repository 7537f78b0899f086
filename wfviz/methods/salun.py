"""SalUn: random labels, learned only by the weights that are salient for the forget set (Fan et al. 2024).

The mask is Eq. 3 there: 1 where |∂ loss of the forget set / ∂ w| reaches a threshold, which is their median, so that
half of the weights learn; the update is Eq. 4 with their random labels. What differs: mini-batches hold as many forgotten
as retained pictures (they pass over the forget set, then over the retain set), the labels are drawn from the retained
classes alone, and normalisations keep their running statistics.
"""

import torch
import torch.nn.functional as F

from wfviz.methods.finetuning import batch, device_of, finetune
from wfviz.methods.masks import freezing, gradients, top_share
from wfviz.methods.random_labels import other_labels
from wfviz.methods.registry import forget_set, method, retain_set


@method("salun", "SalUn", source="Fan et al. 2024, Eq. 3 and 4", steps=100, lr=0.0, optimizer="adam", batch_size=128, share=0.5)
def unlearn(model, forget, data, spec, progress):
    """share: of all weights that learn, those with the largest gradients."""
    gone, kept, device = forget_set(data.train, forget), retain_set(data.train, forget), device_of(model)
    saliency = gradients(model, gone, data.inputs, lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"))
    masks = top_share({name: gradient.abs() for name, gradient in saliency.items()}, spec.share)

    def loss(step):
        x, y = batch(gone, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        wrong = other_labels(forget, len(data.classes), len(y), spec.seed, step).to(device)
        rx, ry = batch(kept, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        return F.cross_entropy(model(torch.cat([x, rx])), torch.cat([wrong, ry]))

    return finetune(model, loss, spec, progress, after_backward=freezing(model, masks))

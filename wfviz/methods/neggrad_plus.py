"""NegGrad+: ascent on the forget set and descent on the retain set at once (Kurmanji et al. 2023, Eq. 4)."""

import torch
import torch.nn.functional as F

from wfviz.methods.finetuning import batch, device_of, finetune
from wfviz.methods.registry import forget_set, method, retain_set


@method("neggrad_plus", "NegGrad+", source="Kurmanji et al. 2023", steps=200, lr=0.0, optimizer="adam", batch_size=128,
        balance=0.9, ceiling=8.0)
def unlearn(model, forget, data, spec, progress):
    """balance: weight of the retain set, the rest is that of the forget set.

    ceiling: cross-entropy beyond which a forgotten sample is left in peace; without it ascent never ends.
    """
    gone, kept, device = forget_set(data.train, forget), retain_set(data.train, forget), device_of(model)

    def loss(step):
        x, y = batch(gone, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        rx, ry = batch(kept, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        logits = model(torch.cat([x, rx]))
        ascent = F.cross_entropy(logits[: len(y)], y, reduction="none").clamp(max=spec.ceiling).mean()
        return spec.balance * F.cross_entropy(logits[len(y) :], ry) - (1 - spec.balance) * ascent

    return finetune(model, loss, spec, progress)

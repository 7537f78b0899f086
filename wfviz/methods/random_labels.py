"""Fine-tuning on the forget set with labels drawn at random from the other classes, and on the retain set as it is.

Graves et al. 2021, "Amnesiac Machine Learning"; a baseline of Poppi et al. 2024, Table 1.
"""

import torch
import torch.nn.functional as F

from wfviz.methods.finetuning import batch, device_of, draw, finetune
from wfviz.methods.registry import forget_set, method, retain_set


def other_labels(forget, n_classes: int, count: int, seed: int, step: int) -> torch.Tensor:
    """`count` labels drawn evenly from the classes that are not forgotten."""
    kept = torch.tensor([c for c in range(n_classes) if c not in forget])
    return kept[torch.randint(len(kept), (count,), generator=draw(seed, step))]


@method("random_labels", "Random labels", source="Graves et al. 2021; Poppi et al. 2024, Table 1",
        steps=200, lr=0.0, optimizer="adam", batch_size=128)
def unlearn(model, forget, data, spec, progress):
    gone, kept, device = forget_set(data.train, forget), retain_set(data.train, forget), device_of(model)

    def loss(step):
        x, y = batch(gone, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        wrong = other_labels(forget, len(data.classes), len(y), spec.seed, step).to(device)
        rx, ry = batch(kept, data.inputs, spec.batch_size // 2, spec.seed, step, device)
        return F.cross_entropy(model(torch.cat([x, rx])), torch.cat([wrong, ry]))

    return finetune(model, loss, spec, progress)

"""Who is still recognised, with nothing and with every class forgotten: confusion matrices, Acc_r and Acc_f.

Acc_f (lower is better, ideal 0): accuracy on the pictures of class c while c is forgotten.
Acc_r (higher is better, ideal the original's): accuracy on all other pictures meanwhile.
Both as in Poppi et al. 2024, section "Evaluation Metrics"; here over all classes, mean, standard deviation
and the worst class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from wfviz.data import Pictures
from wfviz.filtering import WFNet
from wfviz.pictures import normalize

WHOLE_CONFUSION = 100  # classes up to which a confusion matrix is kept for every forgotten class


@dataclass(frozen=True)
class Evaluation:
    """Counts by split ("test", "train"). Forgetting is the first axis: 0 nothing, 1 + c class c.

    counts: int64 [C], pictures of each true class.
    correct: int64 [C + 1, C], of these how many are recognised.
    confusion: int32 [C + 1, C, C], row = true class, column = predicted; absent beyond 100 classes.
    taken_for: int64 [C, C], what class c's pictures are taken for while c is forgotten.
    """

    counts: dict[str, np.ndarray] = field(default_factory=dict)
    correct: dict[str, np.ndarray] = field(default_factory=dict)
    confusion: dict[str, np.ndarray] = field(default_factory=dict)
    taken_for: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.counts)


PARTS = ("counts", "correct", "confusion", "taken_for")


@torch.no_grad()
def evaluate(
    net: WFNet,
    pictures: Pictures,
    split: str,
    *,
    batch_size: int = 512,
    share: tuple[int, int] = (0, 1),
    reduce: Callable[[torch.Tensor], torch.Tensor] = lambda counts: counts,
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Classify every picture with nothing and with every class forgotten.

    share: (index, number) of this process among several; `reduce` then adds their counts.
    progress: called with the number of pictures classified since the last call.
    """
    n = len(net.classes)
    kept = range(n + 1) if n <= WHOLE_CONFUSION else (0,)
    confusion = torch.zeros(len(kept), n, n, dtype=torch.int64, device=net.device)
    correct = torch.zeros(n + 1, n, dtype=torch.int64, device=net.device)
    taken_for = torch.zeros(n, n, dtype=torch.int64, device=net.device)
    for x, y in batches(pictures, net, batch_size, share):
        for state in range(n + 1):
            predicted = net(x, forget=None if state == 0 else state - 1).argmax(1)
            progress(len(x))
            correct[state] += torch.bincount(y[predicted == y], minlength=n)
            if state:
                taken_for[state - 1] += torch.bincount(predicted[y == state - 1], minlength=n)
            if state < len(kept):
                confusion[state] += torch.bincount(y * n + predicted, minlength=n * n).view(n, n)
    confusion, correct, taken_for = (reduce(t).cpu().numpy() for t in (confusion, correct, taken_for))
    return Evaluation(
        counts={split: confusion[0].sum(1)},
        correct={split: correct},
        confusion={split: confusion.astype(np.int32)} if n <= WHOLE_CONFUSION else {},
        taken_for={split: taken_for},
    )


@torch.no_grad()
def batches(
    pictures: Pictures, net: WFNet, batch_size: int, share: tuple[int, int] = (0, 1)
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Normalised pictures [B, channels, size, size] and labels [B] on the network's device, in order."""
    index, number = share
    for indices in torch.arange(len(pictures))[index::number].split(batch_size):
        x = normalize(pictures.take(indices).to(net.device), net.inputs)
        yield x, pictures.labels[indices.to(pictures.labels.device)].to(net.device)


def per_class_accuracy(evaluation: Evaluation, split: str) -> np.ndarray:
    """Accuracy [C + 1, C] in [0, 1] of every class in every state; nan for a class without pictures."""
    counts = evaluation.counts[split]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts > 0, evaluation.correct[split] / counts, np.nan)


def retained(evaluation: Evaluation, split: str, state: np.ndarray) -> np.ndarray:
    """Accuracy [C] on the pictures of all classes but c, in `state[c]` (0 nothing, 1 + k class k forgotten); nan without any."""
    counts, correct = evaluation.counts[split], evaluation.correct[split]
    c = np.arange(len(counts))
    with np.errstate(invalid="ignore"):
        return (correct[state].sum(1) - correct[state, c]) / (counts.sum() - counts)


def acc_r(evaluation: Evaluation, split: str) -> np.ndarray:
    """Acc_r [C]: entry c while class c is forgotten."""
    return retained(evaluation, split, 1 + np.arange(len(evaluation.counts[split])))


def acc_f(evaluation: Evaluation, split: str) -> np.ndarray:
    """Acc_f [C]: accuracy on class c while class c is forgotten; nan for a class without pictures."""
    return np.diagonal(per_class_accuracy(evaluation, split)[1:])


def summary(evaluation: Evaluation, split: str, classes: tuple[str, ...]) -> dict:
    """The numbers of a card: original accuracy, and Acc_r, Acc_f over all classes with the worst named."""
    nothing = np.zeros(len(classes), dtype=int)
    original = retained(evaluation, split, nothing)
    kept = acc_r(evaluation, split)
    return {
        "pictures": int(evaluation.counts[split].sum()),
        "accuracy": float(evaluation.correct[split][0].sum() / evaluation.counts[split].sum()),
        "acc_r": spread(kept, classes, worst=np.argmin),
        "acc_f": spread(acc_f(evaluation, split), classes, worst=np.argmax),
        "original_acc_r": spread(original, classes, worst=np.argmin),
        "acc_r_change": spread(kept - original, classes, worst=np.argmin),
    }


def spread(values: np.ndarray, classes: tuple[str, ...], worst: Callable) -> dict:
    """{"mean", "std" (population), "worst", "worst_class"} over classes that have pictures."""
    there = np.flatnonzero(np.isfinite(values))
    index = int(there[worst(values[there])])
    return {
        "mean": float(values[there].mean()),
        "std": float(values[there].std()),
        "worst": float(values[index]),
        "worst_class": classes[index],
    }

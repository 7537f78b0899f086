"""What was counted with nothing and with the chosen classes forgotten: stored for one class, counted now for several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wfviz.errors import WfvizError
from wfviz.figures.style import count
from wfviz.metrics.accuracy import WHOLE_CONFUSION
from wfviz.ui import cached
from wfviz.ui.state import State


@dataclass(frozen=True)
class Counted:
    """Pictures of one split, before and after forgetting `gone`.

    counts: [C] pictures of every class. correct: [2, C] of these recognised, before and after.
    taken: [K, C] what the pictures of the K forgotten classes are taken for now.
    confusion: [2, C, C], row = true class, before and after; None where it is not stored.
    seen: (indices [N], predicted [2, N]) where the pictures were looked at now, else None.
    note: how they were counted, where that is not with the network's own evaluation.
    """

    gone: tuple[int, ...]
    counts: np.ndarray
    correct: np.ndarray
    taken: np.ndarray
    confusion: np.ndarray | None
    seen: tuple[np.ndarray, np.ndarray] | None = None
    note: str = ""

    @property
    def accuracy(self) -> np.ndarray:
        """Accuracy [2, C] of every class before and after; nan without pictures."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.counts > 0, self.correct / self.counts, np.nan)

    @property
    def acc_f(self) -> np.ndarray:
        """Accuracy [2] on the pictures of the forgotten classes; nan without any."""
        return self._share(list(self.gone))

    @property
    def acc_r(self) -> np.ndarray:
        """Accuracy [2] on the pictures of all other classes; nan without any."""
        return self._share([c for c in range(len(self.counts)) if c not in self.gone])

    def _share(self, classes: list[int]) -> np.ndarray:
        n = self.counts[classes].sum()
        return self.correct[:, classes].sum(1) / n if n else np.full(2, np.nan)


def counted(state: State) -> Counted:
    """Counts of `state`. Raises WfvizError where neither the evaluation nor the pictures can be read."""
    return _now(state) if state.also else _stored(state)


def _stored(state: State) -> Counted:
    stored, split, gone = cached.evaluation(state.network), state.split, state.together
    rows = [0, 1 + state.forget] if gone else [0, 0]
    confusion, counts = stored.confusion.get(split), stored.counts[split]
    n, of = int(counts.sum()), (state.network.card.get("metrics") or {}).get(split, {}).get("of", 0)
    return Counted(
        gone, counts, stored.correct[split][rows], stored.taken_for[split][list(gone)], None if confusion is None else confusion[rows],
        note=f"Counted on {n:,} random pictures of the {of:,} in the {split} split." if n < of else "",
    )  # fmt: skip


def _now(state: State) -> Counted:
    network, n = state.network, len(state.network.classes)
    try:
        labels = cached.labels(network, state.split)
        indices, before = cached.counted(network, state.split, None)
        _, after = cached.counted(network, state.split, state.told)
    except WfvizError as error:
        raise WfvizError(f"nothing is stored for several classes at once, and {error}") from None
    true, predicted = labels[indices], np.stack([before, after])
    confusion = np.stack([np.bincount(true * n + side, minlength=n * n).reshape(n, n) for side in predicted])
    which = "all" if len(indices) == len(labels) else f"{len(indices):,} of the"
    drawn = "" if len(indices) == len(labels) else ", drawn with a fixed seed"
    note = f"Nothing is stored for several classes at once: counted now on {which} {count(len(labels), state.split + ' picture')}{drawn}."
    return Counted(
        state.together, confusion[0].sum(1), np.stack([np.diagonal(m) for m in confusion]), confusion[1][list(state.together)],
        confusion if n <= WHOLE_CONFUSION else None, (indices, predicted), note,
    )  # fmt: skip

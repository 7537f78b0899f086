"""What the rows of a comparison add up to: a number for every method, its spread, its price, its curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wfviz.comparisons import ATTACKS, Comparison
from wfviz.metrics.accuracy import spread

GRID = np.linspace(0, 1, 101)  # false positive rates at which attack curves are averaged
HIGHER, LOWER = "higher", "lower"


@dataclass(frozen=True)
class Score:
    """One column of the table. of(row, split, comparison) -> float, nan where it was not measured.

    unit: share in [0, 1], nats, number, epochs (inf: never within the limit), seconds or bytes.
    """

    name: str
    better: str
    unit: str
    of: Callable[[dict, str, Comparison], float]


def number_at(row: dict, *path: str) -> float:
    """What a row holds at `path`; nan where nothing was measured."""
    value: object = row
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return float("nan") if value is None else float(value)


def strongest(row: dict) -> float:
    """AUC in [0.5, 1] of the attack that tells most. Below 0.5 it tells as much the other way round: 1 - AUC; nan without any."""
    found = [number_at(row, "attack", name) for name in ATTACKS]
    return float(np.nanmax([max(auc, 1 - auc) for auc in found])) if np.isfinite(found).any() else float("nan")


def relearned(row: dict) -> float:
    """Epochs until the class is known as well as before; inf if never within the limit, nan if it was not tried."""
    if "relearn" not in row:
        return float("nan")
    return float(row["relearn"].get("epochs", np.inf))


SCORES = (
    Score("Acc_r", HIGHER, "share", lambda row, split, _: number_at(row, "splits", split, "acc_r")),
    Score("Acc_f", LOWER, "share", lambda row, split, _: number_at(row, "splits", split, "acc_f")),
    Score("F1", HIGHER, "share", lambda row, *_: number_at(row, "f1")),
    Score("JS", LOWER, "nats", lambda row, *_: number_at(row, "js")),
    Score("ZRF", HIGHER, "number", lambda row, *_: number_at(row, "zrf", "nats")),
    Score("relearn", HIGHER, "epochs", lambda row, *_: relearned(row)),
    Score("attack", LOWER, "number", lambda row, *_: strongest(row)),
    Score("probe", LOWER, "share", lambda row, _, found: number_at(row, "probe", found.layers[-1])),
    Score("CKA", HIGHER, "number", lambda row, _, found: number_at(row, "cka_retrained", found.layers[-1])),
    Score("time", LOWER, "seconds", lambda row, *_: number_at(row, "seconds")),
    Score("bytes", LOWER, "bytes", lambda row, *_: number_at(row, "bytes")),
)


@dataclass(frozen=True)
class Spread:
    """A score over classes and seeds. worst: of the worst row, with the name of its class. never: rows without an end.

    Where relearning never ended, the limit stands in its place, so that the mean is a lower bound.
    """

    mean: float
    std: float
    worst: float
    worst_class: str
    n: int
    never: int = 0


@dataclass(frozen=True)
class Line:
    """A method in the table. over: rows that over-forget; done, failed: how many rows."""

    method: str
    title: str
    short: str
    source: str
    reference: bool
    scores: dict[str, Spread | None]
    over: int
    done: int
    failed: int


def score(comparison: Comparison, what: Score, rows: Sequence[dict], split: str) -> Spread | None:
    """Mean, population standard deviation and worst of one score over `rows`; None where it was measured in none."""
    values = np.array([what.of(row, split, comparison) for row in rows], dtype=float)
    if np.isnan(values).all():
        return None
    never = np.isinf(values)
    values = np.where(never, max(comparison.limit, 1), values)
    names = tuple(comparison.classes[row["forget"]] for row in rows)
    found = spread(values, names, np.argmin if what.better == HIGHER else np.argmax)
    return Spread(**found, n=int(np.isfinite(values).sum()), never=int(never.sum()))


def lines(comparison: Comparison, split: str, forget: int | None = None) -> list[Line]:
    """Every method, the references first: over all forgotten classes, or over the seeds of one."""
    found = []
    for method in comparison.methods:
        done = comparison.done(method, forget)
        first = next(row for row in comparison.rows if row["method"] == method)
        scores = {what.name: score(comparison, what, done, split) if done else None for what in SCORES}
        over = sum(bool(row.get("over_forgetting")) for row in done)
        failed = len(comparison.failed(method, forget))
        found.append(Line(method, first["title"], comparison.short(method), first.get("source", ""), bool(first.get("reference")), scores, over, len(done), failed))
    return found


def ordered(found: Sequence[Line], by: str | None, worst: bool = False) -> list[Line]:
    """The references as they are, then the others, the best mean (or worst row) of score `by` first and what was not measured last."""
    if by is None:
        return list(found)
    sign = -1 if next(what for what in SCORES if what.name == by).better == HIGHER else 1
    others = [line for line in found if not line.reference]
    key = [np.inf if line.scores[by] is None else sign * (line.scores[by].worst if worst else line.scores[by].mean) for line in others]
    return [line for line in found if line.reference] + [others[i] for i in np.argsort(key, kind="stable")]


# --- evidence -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """What is known of one network; nan where it was not measured.

    acc_f: in [0, 1]; recall: of the probe on the last layer, in [0, 1]; epochs: until relearned, inf if never; `never` of the
    `tried` classes were given up, and enter the mean with the epochs until then; auc: of the strongest attack, in [0.5, 1];
    auc_error: see `guessing`.
    worst_f: Acc_f of `worst_class`, the highest of several forgotten classes. acc_r: in [0, 1]; over: of `rows` that over-forget.
    """

    title: str
    acc_f: float
    recall: float
    epochs: float
    auc: float
    never: int = 0
    tried: int = 0
    worst_f: float = float("nan")
    worst_class: str = ""
    acc_r: float = float("nan")
    over: int = 0
    rows: int = 0
    auc_error: float = 0.0


def guessing(rows: Sequence[dict]) -> float:
    """Standard error of the mean AUC over `rows` of an attack that guesses; 0 without any.

    Of one AUC sqrt((n + m + 1) / 12 n m) (the Mann-Whitney statistic), here for as many members n as the class has test pictures m:
    there are rarely fewer.
    """
    m = np.array([sum(row["splits"]["test"]["confusion"][row["forget"]]) for row in rows if "attack" in row and "test" in row["splits"]], dtype=float)
    return float(np.sqrt(((2 * m + 1) / (12 * m**2)).sum()) / len(m)) if len(m) else 0.0


def common(comparison: Comparison, methods: Sequence[str], forget: int | None = None) -> set[tuple[int, int]]:
    """(class, seed) of the rows that all of `methods` have finished: means over others do not stand beside each other.

    A method that has finished none of those of the first is left aside.
    """
    first, *others = ({(row["forget"], row["seed"]) for row in comparison.done(method, forget)} for method in methods)
    for other in others:
        first = first & other or first
    return first


def evidence(comparison: Comparison, method: str, split: str, rows: Sequence[dict], attacks: Sequence[dict] | None = None) -> Evidence:
    """Means over finished rows of a method; attacks: the rows that the attack is taken from, if not the same ones."""
    found = {what.name: score(comparison, what, rows, split) for what in SCORES} if rows else {}
    again, gone = found.get("relearn"), found.get("Acc_f")
    several = gone is not None and len({row["forget"] for row in rows}) > 1
    return Evidence(
        comparison.short(method), _of(gone), _of(found.get("probe")),
        epochs=float("inf") if again and again.never == again.n else _of(again),
        auc=_mean([strongest(row) for row in (rows if attacks is None else attacks)]), auc_error=guessing(rows if attacks is None else attacks),
        never=again.never if again else 0, tried=again.n if again else 0,
        worst_f=gone.worst if several else float("nan"), worst_class=gone.worst_class if several else "",
        acc_r=_of(found.get("Acc_r")), over=sum(bool(row.get("over_forgetting")) for row in rows), rows=len(rows),
    )  # fmt: skip


def _of(found: Spread | None) -> float:
    return float("nan") if found is None else found.mean


# --- price --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Price:
    """Seconds and bytes for 1, 10 and all classes: [len(numbers)]; nan where they were not measured."""

    method: str
    title: str
    reference: bool
    seconds: np.ndarray
    bytes: np.ndarray


def numbers(comparison: Comparison) -> tuple[int, ...]:
    """For how many classes a price is given: one, ten if there are more, all."""
    n = len(comparison.classes)
    return tuple(k for k in (1, 10) if k < n) + (n,)


def prices(comparison: Comparison) -> list[Price]:
    """What forgetting costs by method, from the means over its rows. A round shared by all classes is counted once.

    The original is left out: it forgets nothing.
    """
    k, found = np.array(numbers(comparison), dtype=float), []
    for method in comparison.finished:
        if method == "original":
            continue
        rows = comparison.done(method)
        each, once, size = (_mean([number_at(row, key) for row in rows]) for key in ("seconds", "once_seconds", "bytes"))
        shared = 0.0 if np.isnan(once) else once
        found.append(Price(method, comparison.title(method), comparison.is_reference(method), shared + k * each, k * size))
    return found


# --- curves and matrices ------------------------------------------------------------------------


def confusion(rows: Sequence[dict], split: str) -> np.ndarray | None:
    """Counts [C, C], row = true class, added up over `rows`; None where the split is not stored."""
    stored = [row["splits"][split]["confusion"] for row in rows if split in row["splits"]]
    return np.sum(np.array(stored, dtype=np.int64), axis=0) if stored else None


def by_layer(rows: Sequence[dict], key: str, layers: Sequence[str]) -> np.ndarray:
    """Mean over `rows` of `probe`, `cka` or `cka_retrained` at every layer: [L], nan where it was not measured."""
    return np.array([_mean([number_at(row, key, layer) for row in rows]) for layer in layers])


def relearning(rows: Sequence[dict]) -> np.ndarray:
    """Accuracy on the class after 0, 1, ... epochs, mean over `rows` [E + 1]; who has reached the goal stays there."""
    runs = [np.array(row["relearn"]["accuracy"]) for row in rows if row.get("relearn", {}).get("accuracy")]
    most = max(map(len, runs), default=0)
    return np.mean([np.pad(run, (0, most - len(run)), mode="edge") for run in runs], axis=0) if runs else np.empty(0)


def goal(rows: Sequence[dict]) -> float:
    """Accuracy of the original on the class, which relearning has to reach; mean over `rows`."""
    return _mean([number_at(row, "relearn", "goal") for row in rows])


def roc(rows: Sequence[dict]) -> np.ndarray | None:
    """True positive rate [101] of the strongest attack at the false positive rates of `GRID`, mean over `rows`.

    Vertical averaging (Fawcett 2006, Sec. 8.1). An attack below chance is turned round first, as in `strongest`.
    """
    curves = [row["attack"]["curve"] for row in rows if row.get("attack", {}).get("curve", {}).get("fpr")]
    return np.mean([_tpr(np.array(c["fpr"]), np.array(c["tpr"])) for c in curves], axis=0) if curves else None


def _tpr(fpr: np.ndarray, tpr: np.ndarray) -> np.ndarray:
    """On a vertical step the upper end counts, as in a ROC curve; it starts at (0, 0)."""
    if np.trapezoid(tpr, fpr) < 0.5:
        fpr, tpr = 1 - fpr[::-1], 1 - tpr[::-1]
    last = np.append(np.diff(fpr) > 0, True)
    rates = np.interp(GRID, fpr[last], tpr[last])
    return np.concatenate([[0.0], rates[1:-1], [1.0]])


def most_attacked(rows: Sequence[dict]) -> int | None:
    """The forgotten class on which the strongest attack tells most, by its mean over seeds; None where none was tried."""
    found = {c: _mean([strongest(row) for row in rows if row["forget"] == c]) for c in dict.fromkeys(row["forget"] for row in rows)}
    measured = {c: auc for c, auc in found.items() if np.isfinite(auc)}
    return max(measured, key=lambda c: measured[c]) if measured else None


def _mean(values: Sequence[float]) -> float:
    there = [v for v in values if np.isfinite(v)]
    return float(np.mean(there)) if there else float("nan")

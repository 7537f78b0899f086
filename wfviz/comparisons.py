"""Stored comparisons: found, read and checked. What a comparison holds is made by `wfviz.comparing`.

A comparison is a folder with `comparison.json`: the classes, the methods, and one row for every method, forgotten class
and seed. A number that could not be measured is left out of its row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from wfviz import runs
from wfviz.checkpoints import fits
from wfviz.errors import WfvizError

FORMAT = 1
COMPARISON, ROWS = "comparison.json", "rows"  # what the pages read, and every finished row by itself
REFERENCES = ("original", "retrain", "logit_mask")  # in the order of the table
ATTACKS = ("confidence", "entropy", "loss", "logistic", "lira")

SHAPE = {  # see `checkpoints.fits`
    "kind": str, "name?": str, "dataset": str, "backbone": {"name?": str}, "classes": [str], "layers": [str], "methods": [str],
    "forget": [int], "seeds": [int], "original?": {"folder?": str, "weights?": str}, "command?": str, "machine?": str,
    "versions?": {str: str}, "relearn_epochs?": int,
}  # fmt: skip
ROW = {
    "method": str, "title": str, "source?": str, "reference?": bool, "forget": int, "seed": int, "state": str, "error?": str,
    "settings?": {}, "machine?": str, "key?": str,
}  # fmt: skip
DONE = {
    "seconds?": float, "once_seconds?": float, "bytes?": float,
    "splits": {str: {"confusion": [[int]], "acc_r?": float, "acc_f?": float}}, "f1?": float, "js?": float, "js_original?": float,
    "zrf?": {"nats?": float, "bits?": float}, "relearn?": {"epochs?": int, "goal?": float, "lr?": float, "accuracy": [float]},
    "attack?": {**{f"{name}?": float for name in ATTACKS}, "curve?": {"fpr": [float], "tpr": [float]}},
    "probe?": {str: float}, "cka?": {str: float}, "cka_retrained?": {str: float},
    "map?": {"labels": [int], "x": [float], "y": [float]}, "over_forgetting?": bool,
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """A comparison as it was stored. rows: as in the file, without what was not measured."""

    folder: str
    about: dict = field(repr=False)
    rows: tuple[dict, ...] = field(repr=False)

    @property
    def name(self) -> str:
        return self.about.get("name") or Path(self.folder).name

    @property
    def dataset(self) -> str:
        return self.about["dataset"]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.about["classes"])

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that were probed, in order; the last one feeds the head."""
        return tuple(self.about["layers"])

    @property
    def limit(self) -> int:
        """Epochs after which relearning was given up."""
        return self.about.get("relearn_epochs", 0)

    @property
    def relearn_lr(self) -> float:
        """Adam's rate while relearning; rows that do not say it had 1e-3."""
        return next((row["relearn"]["lr"] for row in self.rows if "lr" in row.get("relearn", {})), 1e-3)

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that have a row: the references first, the others in the order they were asked for."""
        there = {row["method"] for row in self.rows}
        first = [name for name in REFERENCES if name in there]
        return tuple(first + [name for name in self.about["methods"] if name in there and name not in first])

    @property
    def finished(self) -> tuple[str, ...]:
        """Those of `methods` that have at least one row to look at."""
        there = {row["method"] for row in self.rows if row["state"] == "done"}
        return tuple(name for name in self.methods if name in there)

    def starts_from(self, card: dict) -> bool | None:
        """Whether the original is the network of a checkpoint, by the digest of its weights; None where one of them does not say."""
        digests, started = card.get("digests") or {}, (self.about.get("original") or {}).get("weights")
        known = [digests[key] for key in ("backbone", "weights") if digests.get(key)]
        return started in known if started and known else None

    def title(self, method: str) -> str:
        return next(row["title"] for row in self.rows if row["method"] == method)

    def short(self, method: str) -> str:
        """The title, or one word for the retrained network: for legends and brackets."""
        return "Retrained" if method == "retrain" else self.title(method)

    def is_reference(self, method: str) -> bool:
        return next(bool(row.get("reference")) for row in self.rows if row["method"] == method)

    def done(self, method: str, forget: int | None = None) -> list[dict]:
        """The finished rows of a method, of one forgotten class or of all."""
        return self._rows("done", method, forget)

    def failed(self, method: str, forget: int | None = None) -> list[dict]:
        """The rows of a method that ended in an error."""
        return self._rows("failed", method, forget)

    def _rows(self, state: str, method: str, forget: int | None) -> list[dict]:
        return [r for r in self.rows if r["state"] == state and r["method"] == method and forget in (None, r["forget"])]


def roots() -> list[Path]:
    """Where comparisons are looked for: see `runs.places`."""
    return runs.places("comparisons")


def find(*where: str | Path) -> list[Path]:
    """Folders with a comparison under the given roots, or under `roots()`, by name; each only once."""
    found = {path.parent.resolve(): path.parent for root in where or roots() for path in Path(root).glob(f"**/{COMPARISON}")}
    return sorted(found.values(), key=lambda folder: (folder.name, str(folder)))


def read(folder: str | Path) -> Comparison:
    """A stored comparison, checked for what every reader relies on; WfvizError in one sentence otherwise."""
    path = Path(folder) / COMPARISON
    try:
        stored = _measured(json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: None))
    except FileNotFoundError:
        raise WfvizError(f"{folder} is no comparison: it has no {COMPARISON}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise WfvizError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        given = stored.get("format") if isinstance(stored, dict) else None
        raise WfvizError(f"{path} has format {given!r}; this version of wfviz reads format {FORMAT}")
    for key, shape in SHAPE.items():
        if not fits(stored, {key: shape}):
            raise WfvizError(f"{path} is damaged: {key.rstrip('?')!r} is not what it should be")
    rows = stored.pop("rows", None)
    if not isinstance(rows, list) or not rows:
        raise WfvizError(f"{path} holds no rows yet; the command that makes it goes on with --resume")
    for number, row in enumerate(rows, 1):
        wrong = _wrong(row, stored)
        if wrong:
            raise WfvizError(f"{path} is damaged: {wrong} of row {number} is not what it should be")
    return Comparison(str(folder), stored, tuple(rows))


def _measured(value: object) -> object:
    """Without the entries that are null, or lists that hold a null: they were not measured."""
    if isinstance(value, list):
        return [_measured(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {k: _measured(v) for k, v in value.items() if v is not None and not (isinstance(v, list) and None in v)}


def _wrong(row: object, about: dict) -> str | None:
    """The part of a row that does not fit, by its key."""
    if not isinstance(row, dict):
        return "the whole"
    for key, shape in ROW.items():
        if not fits(row, {key: shape}):
            return repr(key.rstrip("?"))
    n = len(about["classes"])
    if row["state"] not in ("done", "failed") or row["method"] not in about["methods"] or not 0 <= row["forget"] < n:
        return "'state', 'method' or 'forget'"
    if row["state"] == "failed":
        return None
    for key, shape in DONE.items():
        if not fits(row, {key: shape}):
            return repr(key.rstrip("?"))
    for part in row["splits"].values():
        if len(part["confusion"]) != n or any(len(line) != n for line in part["confusion"]):
            return "'confusion'"
    same = [row.get("map", {}), row.get("attack", {}).get("curve", {})]
    if any(len({len(values) for values in part.values() if isinstance(values, list)}) > 1 for part in same):
        return "'map' or 'curve'"
    if any(not 0 <= c < n for c in row.get("map", {}).get("labels", ())) or not row["splits"]:
        return "'map' or 'splits'"
    return None

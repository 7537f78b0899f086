"""Comparisons: every method forgets every class in turn, and the same things are measured on all of them.

A comparison is a folder: `comparison.json` holds all that the pages read and is whole after every row; `rows/`
keeps each finished row under a name that says what it depends on, so that nothing is done twice, also not after an
interruption or by a longer comparison in the same folder; `models/` keeps the retrained networks, and the state of one
that is still in training. Rows carry the end of that name, their key, so that `comparison.json` alone is enough to go on from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from wfviz import plugins
from wfviz.backbones import build, recipe
from wfviz.checkpoints import versions
from wfviz.comparisons import COMPARISON, FORMAT, ROWS, read
from wfviz.data import Data
from wfviz.errors import WfvizError
from wfviz.files import write_atomically, write_json
from wfviz.methods import Method, MethodSpec, Progress, get, setting
from wfviz.methods.registry import DataChanged
from wfviz.metrics.forgetting import Judge
from wfviz.pretraining import seconds_of
from wfviz.specs import BackboneSpec, PretrainSpec
from wfviz.training import Log

MODELS = "models"
MEASURES = 2  # raised when the same network would be judged differently: older rows are then done again
REFERENCE = "retrain"


@dataclass(frozen=True)
class Plan:
    """What is compared: methods by name, classes forgotten one at a time, seeds, and settings."""

    methods: tuple[str, ...]
    forget: tuple[int, ...]
    seeds: tuple[int, ...] = (0,)
    relearn_epochs: int = 100
    settings: dict[str, dict] = field(default_factory=dict)  # by method; variants have those of theirs


@dataclass(frozen=True)
class Origin:
    """The network that everything starts from, and where it comes from."""

    model: nn.Module
    backbone: BackboneSpec
    folder: str
    digest: str  # of its weights: `checkpoints.backbone_digest`
    pretraining: PretrainSpec | None = None  # how it was trained, where that is known


def check(plan: Plan) -> dict[str, Method]:
    """The methods by name; WfvizError for unknown ones, unknown settings, or an empty plan."""
    if not plan.methods or not plan.forget or not plan.seeds:
        raise WfvizError("a comparison needs at least one method, one class and one seed")
    found = {name: get(name) for name in plan.methods}
    for name, changes in plan.settings.items():
        asked = [method for method in found if base_of(method) == name]
        if not asked:
            raise WfvizError(f"there are settings for {name}, which is not among the methods")
        found[asked[0]].spec(**changes)
    return found


def base_of(name: str) -> str:
    """"kga" of "kga" and of its variant "kga.freeze=12"; a name may hold a point of its own."""
    return name.partition(".")[0] if "=" in name else name


def changes_of(name: str, plan: Plan) -> dict:
    """The settings of a plan for a method; a variant has those of its method, but for what it varies."""
    varied = setting(name)[1] if base_of(name) != name else {}
    return {key: value for key, value in plan.settings.get(base_of(name), {}).items() if key not in varied}


def compare(plan: Plan, origin: Origin, data: Data, folder: Path, *, card: dict, show: bool = True) -> dict:
    """Fill `folder` and return what its `comparison.json` holds. card: command and other words on the making.

    A method that fails is told in its row and the rest goes on. Ctrl-C ends it; the same call goes on from there.
    """
    chosen = check(plan)
    unpack(folder)
    judge = Judge(origin.model, data, origin.backbone, relearn_epochs=plan.relearn_epochs)
    bench = _Bench(plan, origin, data, folder, judge, chosen)
    order = sorted(chosen, key=lambda name: name != REFERENCE)  # the others are judged beside it
    jobs = [(get(name), seed, c) for seed in plan.seeds for c in plan.forget for name in order]
    kept = {(method.name, seed, c): bench.finished(method, seed, c) for method, seed, c in jobs}
    rows = {key: row for key, row in kept.items() if row is not None}  # they stay in the file while others are made
    about = {
        "format": FORMAT, "kind": "comparison", "name": folder.name, "dataset": data.name, "backbone": asdict(origin.backbone),
        "classes": list(data.classes), "original": {"folder": origin.folder, "weights": origin.digest}, "versions": versions(),
        "layers": list(judge.layers),
        "methods": list(chosen), "forget": list(plan.forget), "seeds": list(plan.seeds), "relearn_epochs": plan.relearn_epochs, **card,
    }

    def store() -> dict:
        in_order = [rows[key] for name in chosen for s in plan.seeds for c in plan.forget if (key := (name, s, c)) in rows]
        machine = "; ".join(dict.fromkeys(row["machine"] for row in in_order if row.get("machine"))) or bench.machine
        whole = {**about, "machine": machine, "rows": in_order}
        write_json(folder / COMPARISON, whole, indent=None)
        return whole

    missing = [job for job in jobs if (job[0].name, *job[1:]) not in rows]
    with Log(folder / "log.jsonl", "comparing", len(jobs), len(rows), show) as log:
        whole = store() if rows else about
        for before, (method, seed, c) in enumerate(missing, len(rows)):
            log.bar.set_description(f"{method.name}, {data.classes[c]}")
            row = rows[method.name, seed, c] = bench.row(method, seed, c, lambda part, before=before: log.reach(before + part))
            whole = store()
            log.reach(before + 1)
            log.write(before + 1, **{f"{split}_{k}": v[k] for split, v in row.get("splits", {}).items() for k in ("acc_r", "acc_f")})
    return whole


def unpack(folder: Path) -> None:
    """Fill `rows/` with what `comparison.json` holds and they do not: a copy may have come without them."""
    (folder / ROWS).mkdir(parents=True, exist_ok=True)
    try:
        read(folder)  # checked
    except WfvizError:  # none there, or nothing in it to go on from
        return
    stored = json.loads((folder / COMPARISON).read_text(encoding="utf-8"), parse_constant=lambda name: None)
    for row in stored["rows"]:
        path = _row_path(folder, row["method"], row["forget"], row["seed"], row.get("key", ""))
        if row["state"] == "done" and "key" in row and path.parent == folder / ROWS and not path.exists():
            write_json(path, row)


def _row_path(folder: Path, method: str, forget: int, seed: int, key: str) -> Path:
    return folder / ROWS / f"{method}-{forget}-{seed}-{key}.json"


class _Bench:
    """Makes the rows of one comparison, or takes them from the folder."""

    def __init__(self, plan: Plan, origin: Origin, data: Data, folder: Path, judge: Judge, chosen: dict[str, Method]):
        self.plan, self.origin, self.data, self.folder, self.judge, self.chosen = plan, origin, data, folder, judge, chosen
        self.machine = f"{os.cpu_count()} cores, {next(origin.model.parameters()).device.type}"
        code = plugins.source_of(recipe(origin.backbone.name).make)  # of a network of one's own
        weights = origin.digest + (hashlib.sha256(code.encode()).hexdigest() if code else "")
        self.world = [MEASURES, weights, data.digest(), plan.relearn_epochs]  # a network depends on the two in the middle
        self.prepared: dict[tuple[str, int], tuple[object, float]] = {}
        self.beside: tuple[tuple[int, int], nn.Module | None] | None = None
        self.broken: set[tuple[int, int]] = set()  # (seed, class) of retrained networks that could not be made for LiRA

    def finished(self, method: Method, seed: int, c: int) -> dict | None:
        """One method, one class from the disk, if it was done before."""
        key = self._row_key(method, seed, c)
        try:
            return json.loads(_row_path(self.folder, method.name, c, seed, key).read_text(encoding="utf-8")) | {"key": key}
        except (OSError, ValueError):
            return None

    def row(self, method: Method, seed: int, c: int, progress: Progress) -> dict:
        """One method, one class; kept on the disk."""
        spec = self._spec(method, seed)
        row = {
            "method": method.name, "title": method.title, "source": method.source, "reference": method.reference,
            "forget": c, "seed": seed, "settings": spec.settings, "machine": self.machine,
        }
        try:
            spec = method.settled(spec, lambda: self.judge.relearn_lr)
            row |= {"state": "done", "settings": spec.settings, **self._measured(method, spec, c, progress)}
        except DataChanged:  # every row after it would be wrong
            raise
        except Exception as error:  # a method of somebody's own raises what it likes; the others go on
            reason = str(error).splitlines()[0] if str(error) else ""
            return row | {"state": "failed", "error": reason if isinstance(error, WfvizError) else f"{type(error).__name__}: {reason}"}
        complete = not any((other, c) in self.broken for other in self.plan.seeds if other != seed)
        if method.name == REFERENCE or REFERENCE not in self.chosen or (row["js"] is not None and complete):  # else judged again once it is retrained
            row["key"] = self._row_key(method, seed, c)
            write_json(_row_path(self.folder, method.name, c, seed, row["key"]), row)
        return row

    def _row_key(self, method: Method, seed: int, c: int) -> str:
        """What a row depends on, in twelve hexadecimal digits."""
        beside = self._spec(self.chosen[REFERENCE], seed).digest() if REFERENCE in self.chosen else ""
        beside += f" {self.plan.seeds}" if beside and len(self.plan.seeds) > 2 else ""
        return self._key(self._spec(method, seed), c, self.world, beside)

    def _measured(self, method: Method, spec: MethodSpec, c: int, progress: Progress) -> dict:
        once, making, judging = self._once(method, spec, progress), lambda part: progress(part / 2), lambda part: progress((1 + part) / 2)
        if method.name == REFERENCE:
            model, seconds = self._reference(spec.seed, c, making)
        else:
            start = time.monotonic()
            model = method.run(self.origin.model, (c,), self.data, spec, making, once[0])
            seconds = time.monotonic() - start
        size = sum(t.numel() * t.element_size() for t in model.state_dict().values())
        stored = method.stored(once[0] if once[0] is not None else model, self.data) if method.stored else size
        retrained = model if method.name == REFERENCE else self._retrained(spec.seed, c, progress)
        shadows = self._shadows(spec.seed, c, progress)
        found = self.judge.judge(model, (c,), retrained, relearned=method.relearns, shadows=shadows, progress=judging)
        return {"seconds": round(seconds, 3), "once_seconds": round(once[1], 3), "bytes": stored, **found}

    def _once(self, method: Method, spec: MethodSpec, progress: Progress) -> tuple[object, float]:
        """What a method prepares for all classes, and the seconds that took."""
        key = (method.name, spec.seed)
        if key not in self.prepared:
            start = time.monotonic()
            made = method.prepare(self.origin.model, self.data, spec, progress)
            seconds = time.monotonic() - start if method.once else 0.0
            before = method.took(made) if method.took else None
            self.prepared[key] = (made, seconds if before is None else before)
        return self.prepared[key]

    # --- retrained networks ---------------------------------------------------------------------

    def _reference(self, seed: int, c: int, progress: Progress) -> tuple[nn.Module, float]:
        """The retrained network of a class and the seconds it took; trained and kept if it is not there yet.

        Its training goes on where an interruption left it.
        """
        method = self.chosen[REFERENCE]
        spec = self._spec(method, seed)
        path = self._kept(spec, c)
        model, seconds = self._load(path)
        if model is None:
            part, start = path.with_suffix(""), time.monotonic()
            model = method.run(self.origin.model, (c,), self.data, replace(spec, folder=part), progress)
            seconds = seconds_of(part) or time.monotonic() - start  # of all its parts, where it was interrupted
            self._save(path, model, seconds)
            shutil.rmtree(part, ignore_errors=True)
        return model, seconds

    def _retrained(self, seed: int, c: int, progress: Progress) -> nn.Module | None:
        """The retrained network to judge beside, None where there is none; the last one stays in memory.

        Where its row is there and it is not, it is made again.
        """
        if REFERENCE not in self.chosen:
            return None
        if self.beside is None or self.beside[0] != (seed, c):
            model = self._load(self._kept(self._spec(self.chosen[REFERENCE], seed), c))[0]
            if model is None and self.finished(self.chosen[REFERENCE], seed, c):
                model = self._reference(seed, c, progress)[0]
            self.beside = ((seed, c), model)
        return self.beside[1]

    def _shadows(self, seed: int, c: int, progress: Progress) -> list[nn.Module]:
        """Networks of other seeds that never saw the class, for LiRA; it needs two. One that cannot be made is told in its own row."""
        if REFERENCE not in self.chosen or len(self.plan.seeds) < 3:
            return []
        found = []
        for other in self.plan.seeds:
            if other != seed and (other, c) not in self.broken:
                try:
                    found.append(self._reference(other, c, progress)[0])
                except Exception:
                    self.broken.add((other, c))
        return found

    def _kept(self, spec: MethodSpec, c: int) -> Path:
        return self.folder / MODELS / f"{spec.method}-{c}-{spec.seed}-{self._key(spec, c, self.world[1:3])}.safetensors"

    def _save(self, path: Path, model: nn.Module, seconds: float) -> None:
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()} | {"seconds": torch.tensor(seconds)}
        write_atomically(path, lambda temporary: save_file(tensors, temporary))

    def _load(self, path: Path) -> tuple[nn.Module | None, float]:
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError):
            return None, 0.0
        model, seconds = build(self.origin.backbone), float(tensors.pop("seconds"))
        model.load_state_dict(tensors)
        return model.eval().requires_grad_(False).to(next(self.origin.model.parameters()).device), seconds

    def _spec(self, method: Method, seed: int) -> MethodSpec:
        return method.spec(seed, self.origin.backbone, self.origin.pretraining, **changes_of(method.name, self.plan))

    def _key(self, spec: MethodSpec, c: int, world: list, beside: str = "") -> str:
        method = self.chosen[spec.method]
        more = [method.depends(spec)] if method.depends else []
        text = json.dumps([world, spec.digest(), method.text, c, beside, *more])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

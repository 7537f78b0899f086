"""Untraining: learning α, for all classes in one round, around a frozen classifier; the loss is in `objective.py`.

A batch of B pictures: the first half uses the rows of their own labels (forget), the second half is
repeated χ times, each time with the row of another class drawn at random (retain).
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from wfviz.backbones import recipe
from wfviz.checkpoints import CARD, read_card
from wfviz.data import Data, Pictures
from wfviz.deep import HeadInput, one_class, separability
from wfviz.errors import WfvizError, nearest
from wfviz.filtering import WFNet
from wfviz.objective import check_losses, mean_gate, mean_middle, needs_teacher, objective, teacher
from wfviz.pictures import normalize
from wfviz.specs import UntrainSpec
from wfviz.training import (
    OPTIMIZERS, Log, batch_indices, cosine, generator, load_state, optimizer, save_state, set_lr, steps_per_epoch, stopping,
)

STATE = "untraining.safetensors"
STARTED = "started"  # in the card, until the round has come to an end or to a stop
VALIDATION = 2000  # pictures of the validation split that a validation looks at
SCHEDULES = {"constant": lambda step, total: 1.0, "cosine": cosine}


def spec_for(backbone: str, preset: str, **changes) -> UntrainSpec:
    """A preset, with the backbone's own gated layers and, in `paper`, λ1 = 100 for ViTs."""
    how = recipe(backbone)
    own: dict = {} if how.layers is None else {"layers": how.layers}
    if preset == "paper" and how.transformer:
        own["lambda_forget"] = 100.0
    return UntrainSpec.preset(preset, **{**own, **changes})


def check(spec: UntrainSpec, processes: int = 1) -> None:
    """WfvizError for names and numbers that no run can use, before anything is computed or written."""
    suited = [name for name in OPTIMIZERS if name != "muon"]  # α has no filters
    for name, known, what in ((spec.schedule, SCHEDULES, "schedule"), (spec.optimizer, suited, "optimizer")):
        if name not in known:
            raise WfvizError(nearest(name, known, what))
    check_losses(spec)
    if spec.batch_size < 2 * processes:
        raise WfvizError(f"a batch of {spec.batch_size} cannot be halved for {processes} process(es)")
    over_zero = ("steps", "epochs", "lr", "expansion")
    for name, value in asdict(spec).items():
        if isinstance(value, int | float) and name not in ("alpha_start", "seed"):
            if not math.isfinite(value) or value < 0 or (value == 0 and name in over_zero):
                raise WfvizError(f"{name} is {value}; it has to be a number {'over 0' if name in over_zero else 'from 0 up'}")
    if not math.isfinite(spec.alpha_start):
        raise WfvizError(f"alpha_start is {spec.alpha_start}; it has to be a number")


def begun(folder: Path) -> bool:
    """Whether a round has its network in `folder`, but no step that was kept: --resume begins it anew around that network."""
    if not (folder / CARD).exists() or (folder / STATE).exists():
        return False
    try:
        card = read_card(folder)
    except WfvizError:  # who goes on from it, or reads it, is told
        return False
    ours = str(card.get("command")).startswith("python -m wfviz untrain")
    return (card.get("untraining") or {}).get("state") == STARTED or (ours and card["kind"] == "backbone")


def expand(x: Tensor, y: Tensor, n_classes: int, chi: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The batch as it is learned from: pictures, labels, rows, and where the own class is forgotten.

    x [B, ...], y [B] -> B/2 forgetting and χ · B/2 retained samples; draws come from a CPU generator.
    """
    half = len(y) // 2
    x, y = repeated(x, chi), repeated(y, chi)
    others = (y[half:] + torch.randint(1, n_classes, (len(y) - half,), generator=draw).to(y.device)) % n_classes
    forgets = torch.arange(len(y), device=y.device) < half
    return x, y, torch.cat([y[:half], others]), forgets


def repeated(values: Tensor, chi: int) -> Tensor:
    """The first half of [B, ...] once, the second half χ times."""
    half = len(values) // 2
    return torch.cat([values[:half], values[half:].repeat(chi, *[1] * (values.ndim - 1))])


def untrain(
    net: WFNet,
    data: Data,
    spec: UntrainSpec,
    folder: Path,
    accelerator: Accelerator,
    *,
    resume: bool = False,
    show: bool = True,
) -> dict:
    """Learn the α of `net` (in place) on the training split; the best validated α is what stays.

    Returns {"state": "done" | "stopped early" | "interrupted", "steps", "best_step", "seconds", "validation"}.
    What is needed to resume is kept in `folder` at every validation and when it is interrupted.
    """
    check(spec, accelerator.num_processes)
    data, n_classes = data.to(accelerator.device), len(net.classes)
    share = (accelerator.process_index, accelerator.num_processes)
    per_epoch = steps_per_epoch(len(data.train), spec.batch_size)
    total = spec.steps if spec.epochs is None else max(1, round(spec.epochs * per_epoch))
    every = spec.evaluate_every or max(1, per_epoch // 5)
    net.to(memory_format=torch.channels_last)  # up to 1.6 times as fast
    alphas = net.alphas()
    for alpha in alphas.values():
        alpha.requires_grad_(True)  # a network that was loaded is frozen
    opt = optimizer(spec.optimizer, list(alphas.values()), spec.lr)
    step, seconds, best = 0, 0.0, {"loss": float("inf"), "step": 0}
    kept = {k: a.detach().clone() for k, a in alphas.items()}
    if resume:
        tensors, about = load_state(folder / STATE, opt, spec.digest())
        step, seconds, best = about["step"], about["seconds"], about["best"]
        with torch.no_grad():
            for key, alpha in alphas.items():
                alpha.copy_(tensors[f"now.{key}"])
                kept[key] = tensors[f"best.{key}"].to(alpha.device)
    wrapped, opt = accelerator.prepare(net.train(), opt)
    alphas, main = net.alphas(), accelerator.is_main_process
    start, stopped = time.monotonic() - seconds, False

    def keep_state() -> None:
        both = {f"now.{k}": a for k, a in alphas.items()} | {f"best.{k}": a for k, a in kept.items()}
        if main:
            save_state(folder / STATE, both, opt, digest=spec.digest(), step=step, best=best, seconds=time.monotonic() - start)

    with Log(folder / "log.jsonl", "untraining", total, step, show, main) as log, stopping(accelerator) as stop, HeadInput(net.backbone, len(net.classes)) as head:
        while step < total and not stop and not stopped:
            x, y, rows, forgets, target = _batch(net, data, spec, step, share)
            set_lr(opt, spec.lr * SCHEDULES[spec.schedule](step, total))
            with accelerator.autocast():
                logits = wrapped(x, forget=rows)
            told = separability(head.features[forgets], head.features[~forgets]) if spec.lambda_features else 0.0
            loss, parts = objective(logits, y, forgets, mean_gate(net), spec, target=target, middle=mean_middle(net) if spec.lambda_middle else 0.0, features=told)
            opt.zero_grad()
            accelerator.backward(loss)
            opt.step()
            step += 1
            log.bar.update()
            if step % every == 0 or step == total:
                found = validate(net, data.val, spec)
                log.write(step, loss=loss.item(), **parts, **{f"val_{k}": v for k, v in found.items()})
                if found["loss"] < best["loss"]:
                    best = {**found, "step": step}
                    kept = {k: a.detach().clone() for k, a in alphas.items()}
                lost = not all(bool(a.isfinite().all()) for a in alphas.values())  # nothing can come of it any more
                stopped = lost or (bool(spec.patience) and step - best["step"] >= spec.patience * every)
                keep_state()
        if step < total and not stopped:
            keep_state()
    with torch.no_grad():
        for key, alpha in alphas.items():
            alpha.copy_(kept[key])
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)  # what comes back answers in its own precision
    finished = stopped or step >= total
    if finished and not best["step"]:
        raise WfvizError("no validation gave a finite loss; give a smaller --lr, an --epsilon over 0, or --precision no")
    return {
        "state": "stopped early" if stopped else "done" if finished else "interrupted",
        "steps": step, "best_step": best["step"], "seconds": round(time.monotonic() - start, 1),
        "validation": {k: v for k, v in best.items() if k != "step"} if best["step"] else None,
    }


def _batch(net: WFNet, data: Data, spec: UntrainSpec, step: int, share: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """What a step learns from: pictures, labels, rows, where the own class is forgotten, and the teacher if it is asked for."""
    n, pictures = len(net.classes), data.train
    if spec.lambda_features:
        gone, kept, c = one_class(pictures, n, spec.batch_size, spec.expansion, spec.seed, step, share)
        indices = torch.cat([gone, kept])
    else:
        indices = batch_indices(len(pictures), spec.batch_size, spec.seed, step, share)
    x = normalize(pictures.take(indices), data.inputs)
    y = pictures.labels[indices.to(pictures.labels.device)]
    with torch.no_grad():
        before = net(x) if needs_teacher(spec) else None
    if spec.lambda_features:
        rows = torch.full_like(y, c)
        return x, y, rows, y == c, None if before is None else teacher(before, rows)
    x, y, rows, forgets = expand(x, y, n, spec.expansion, generator(spec.seed, step, 2 + share[0]))
    return x, y, rows, forgets, None if before is None else teacher(repeated(before, spec.expansion), rows)


def _features(net: WFNet, head: HeadInput, x: Tensor, rows: Tensor) -> Tensor:
    """What the head was given for x [B, ...] with these rows, just now: [B, D]; networks that take a pass for every row see them again."""
    if len(head.features) == len(x):
        return head.features
    found = torch.empty(len(x), head.features.shape[1], device=x.device, dtype=head.features.dtype)
    for c in rows.unique():
        net(x[rows == c], forget=int(c))
        found[rows == c] = head.features
    return found


@torch.no_grad()
def validate(net: WFNet, pictures: Pictures, spec: UntrainSpec, batch_size: int = 512) -> dict[str, float]:
    """Loss, Acc_r and Acc_f on a fixed part of the validation split, every picture as in `expand`.

    Where the features count, also "told": the mean `separability` over the classes.
    """
    pictures = pictures.sample(VALIDATION)
    draw = generator(0, 0, 3)
    logits, labels, rows, before, features = [], [], [], [], []
    with HeadInput(net.backbone, len(net.classes)) as head:
        for indices in torch.arange(len(pictures)).split(batch_size):
            x = normalize(pictures.take(indices), net.inputs)
            y = pictures.labels[indices.to(pictures.labels.device)]
            others = (y + torch.randint(1, len(net.classes), (len(y),), generator=draw).to(y.device)) % len(net.classes)
            plain = net(x) if needs_teacher(spec) else None
            for row in (y, others):
                logits.append(net(x, forget=row))
                labels.append(y)
                rows.append(row)
                before.append(plain)
                features.append(_features(net, head, x, row) if spec.lambda_features else head.features)
    logits, labels, rows = torch.cat(logits), torch.cat(labels), torch.cat(rows)
    target = teacher(torch.cat(before), rows) if needs_teacher(spec) else None
    forgets, told = rows == labels, 0.0
    if spec.lambda_features:
        features = torch.cat(features)
        told = torch.stack([separability(features[forgets & (rows == c)], features[~forgets & (rows == c)]) for c in range(len(net.classes))]).mean()
    loss, _ = objective(logits, labels, forgets, mean_gate(net), spec, target=target, middle=mean_middle(net) if spec.lambda_middle else 0.0, features=told)
    right = (logits.argmax(1) == labels).float()
    found = {"loss": float(loss), "acc_r": float(right[~forgets].mean()), "acc_f": float(right[forgets].mean())}
    return found | ({"told": float(told)} if spec.lambda_features else {})

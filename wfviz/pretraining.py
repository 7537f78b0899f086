"""Ordinary training of a classifier, the backbone that a WF-Net later freezes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from safetensors import safe_open
from torch import Tensor, nn

from wfviz.backbones import build, recipe
from wfviz.data import Data, Pictures, augment, cut_out, mirrored
from wfviz.errors import WfvizError
from wfviz.pictures import normalize
from wfviz.skipping import Skipping
from wfviz.specs import BackboneSpec, InputSpec, PretrainSpec
from wfviz.training import (
    Log, batch_indices, generator, load_state, one_cycle, optimizer, save_state, set_lr, steps_per_epoch, stopping,
)

STATE = "pretraining.safetensors"
SEEN = "skipping.losses"  # in the state, beside the network's tensors
DEFAULTS = {"sgd": (0.1, 5e-4), "momentum": (0.1, 5e-4), "adam": (1e-3, 0.0), "adamw": (1e-3, 0.05)}  # rate and weight decay
MUON_LR, MATRICES_LR = 0.1, 5e-3  # of a CNN, and of a transformer, where AdamW's 1e-3 is too little (docs/untraining.md, section 1)
KEEP_EVERY = 300  # seconds between two states within an epoch


def spec_for(backbone: str, spec: PretrainSpec, pictures: int) -> PretrainSpec:
    """`spec` with what it leaves open filled in from the backbone's recipe, for so many training pictures.

    With another optimizer than the recipe's, the learning rate is that optimizer's.
    """
    how = recipe(backbone)
    epochs = max(how.epochs, math.ceil(how.least_steps / steps_per_epoch(pictures, spec.batch_size)))
    lr, decay = how.lr, how.weight_decay
    if spec.optimizer == "muon":
        lr = MATRICES_LR if how.transformer else MUON_LR
    elif spec.optimizer not in (None, how.optimizer):
        lr, decay = DEFAULTS.get(spec.optimizer, (lr, decay))
    return spec.filled(optimizer=how.optimizer, lr=lr, weight_decay=decay, epochs=epochs)


def spec_of(card: dict) -> PretrainSpec | None:
    """The settings by which the network of a checkpoint was trained, to train another like it; None: not known.

    One that was trained in several turns (`pretrain --from`) gives one turn: the settings of the longest, and of the latest of those,
    for all epochs at their sizes. What it brought from other data (`wfviz/transferring.py`) is not repeated: the other one starts from random weights.
    """
    turns = [_turn(made) for made in _turns(card.get("pretraining") or {})]
    if None in turns or len(turns) > 1 and None in [turn.epochs for turn in turns]:
        return None
    if len(turns) == 1:
        return turns[0]
    size = card["backbone"]["size"]
    sizes = tuple(_size_of(turn, epoch) or size for turn in turns for epoch in range(turn.epochs))
    longest = max(reversed(turns), key=lambda turn: turn.epochs)
    return replace(longest, epochs=len(sizes), sizes=sizes if set(sizes) != {size} else ())


def _turns(made: dict) -> list[dict]:
    """The turns on a network's own data, the first one first; made: "pretraining" of its card."""
    return [*(_turns(made["earlier"]) if "earlier" in made and "transferred" not in made else []), made]


def _turn(made: dict) -> PretrainSpec | None:
    if made.get("state") != "done":
        return None
    known = {f.name: made[f.name] for f in fields(PretrainSpec) if f.name in made}
    if isinstance(known.get("epochs"), float):  # as they are counted while it trains
        known["epochs"] = round(known["epochs"])
    return PretrainSpec.from_dict(known)


def epochs_of(made: dict) -> float:
    """Epochs that a network has seen of its data in all its turns; made: "pretraining" of its card."""
    return sum(turn.get("epochs") or 0 for turn in _turns(made))


@torch.random.fork_rng(devices=())  # the draws of whoever calls go on where they were
def pretrain(
    data: Data,
    backbone: BackboneSpec,
    spec: PretrainSpec,
    folder: Path,
    accelerator: Accelerator,
    *,
    start: nn.Module | None = None,
    earlier: float = 0,
    resume: bool = False,
    show: bool = True,
    progress: Callable[[float], None] = lambda part: None,
) -> tuple[nn.Module, dict]:
    """Train `backbone` on the training split; what is learned is kept in `folder` after every epoch,
    every `KEEP_EVERY` seconds, and when it is interrupted. It goes on from the network `start`, if given, which has seen the
    pictures for `earlier` epochs: they come in the orders and places that follow. progress is told the part that is done.

    Returns the network on the CPU in eval mode and {"state": "done" | "interrupted", "epochs", "seconds",
    "val_accuracy" (None before the first epoch is over)}. Cross-entropy with label smoothing, one-cycle learning rate, shifted and (every other epoch)
    mirrored pictures with a hidden square (`cutout`), part of the easy ones left out (`skip_easy`) and of a ViT's patches
    (`patch_drop`); the validation split is only looked at, at the size of the epoch. Raises WfvizError for sizes the network cannot take.
    """
    torch.manual_seed(spec.seed)
    net = build(backbone) if start is None else start
    _check_sizes(net, backbone, spec)
    _drop_patches(net, backbone, spec.patch_drop)
    if spec.batch_size < 2 * accelerator.num_processes:
        raise WfvizError(f"a batch of {spec.batch_size} is too small to normalise over; take at least 2 for each process")
    if spec.cutout > backbone.size:
        raise WfvizError(f"cutout {spec.cutout} would hide pictures of {backbone.size} px altogether; choose a smaller square")
    net = net.to(memory_format=torch.channels_last)  # as fast or up to 1.6 times as fast
    opt = _optimizer(net, backbone, spec)
    data = data.to(accelerator.device)
    share = (accelerator.process_index, accelerator.num_processes)
    per_epoch = steps_per_epoch(len(data.train), spec.batch_size)
    total, step, seconds, accuracy = spec.epochs * per_epoch, 0, 0.0, None
    digest = backbone.digest() + spec.digest() + (f"{earlier:g}" if start is not None else "")
    first = round(earlier * per_epoch)
    skipping = Skipping(len(data.train), spec.skip_easy) if spec.skip_easy else None
    if resume:
        tensors, about = load_state(folder / STATE, opt, digest)
        if skipping:
            skipping.losses = tensors.pop(SEEN)
        net.load_state_dict(tensors)
        step, seconds, accuracy = about["step"], about["seconds"], about["val_accuracy"]
    net, opt = accelerator.prepare(net, opt)
    plain = accelerator.unwrap_model(net)
    began, main = time.monotonic() - seconds, accelerator.is_main_process

    kept = time.monotonic()

    def keep_state() -> None:
        nonlocal kept
        kept = time.monotonic()
        if main:
            about = {"digest": digest, "step": step, "seconds": kept - began, "val_accuracy": accuracy}
            seen = {SEEN: skipping.losses} if skipping else {}
            save_state(folder / STATE, plain.state_dict() | seen, opt, **about)

    with Log(folder / "log.jsonl", "pretraining", total, step, show, main) as log, stopping(accelerator) as stop:
        while step < total and not stop:
            seen, epoch = first + step, step // per_epoch
            indices = batch_indices(len(data.train), spec.batch_size, spec.seed, seen, share)
            draw, whole = generator(spec.seed, seen, 1 + share[0]), len(indices)
            if skipping:
                indices, weights = skipping.choose(indices, step / total, draw)
            mirror = mirrored(indices, seen // per_epoch, spec.seed) if data.flip else False
            pixels = augment(data.train.take(indices), data.shift, mirror, draw)
            x = resized(cut_out(normalize(pixels, data.inputs), spec.cutout, draw), _size_of(spec, epoch))
            y = data.train.labels[indices.to(data.train.labels.device)]
            set_lr(opt, spec.lr * one_cycle(step, total))
            net.train()
            torch.manual_seed(generator(spec.seed, seen, 51 + share[0]).initial_seed())  # of dropout
            with accelerator.autocast():
                loss = F.cross_entropy(net(x), y, label_smoothing=spec.label_smoothing, reduction="none" if skipping else "mean")
            if skipping:
                skipping.remember(indices, loss)
                loss = (loss * weights.to(loss.device)).sum() / whole
            opt.zero_grad()
            accelerator.backward(loss)
            opt.step()
            step += 1
            log.bar.update()
            progress(step / total)
            if step % per_epoch == 0:
                with accelerator.autocast():
                    accuracy = accuracy_of(plain, data.val, data.inputs, size=_size_of(spec, epoch))
                log.write(step, epoch=step / per_epoch, loss=loss.item(), val_accuracy=accuracy)
                keep_state()
            elif time.monotonic() - kept > KEEP_EVERY:
                keep_state()
        if step < total:
            keep_state()
    done = step >= total
    if spec.patch_drop:
        plain.patch_drop = nn.Identity()
    about = {
        "state": "done" if done else "interrupted", "epochs": step / per_epoch,
        "seconds": round(time.monotonic() - began, 1), "val_accuracy": accuracy,
    }
    return accelerator.unwrap_model(net, keep_fp32_wrapper=False).cpu().eval(), about


def seconds_of(folder: Path) -> float | None:
    """Seconds that went into the training whose state lies in `folder`, interruptions left out; None without a state."""
    try:
        with safe_open(folder / STATE, "pt") as file:
            return json.loads(file.metadata()["about"])["seconds"]
    except FileNotFoundError:
        return None


def resized(x: Tensor, size: int | None) -> Tensor:
    """A batch [B, C, S, S] scaled to [B, C, size, size]; None leaves it."""
    if size is None or size == x.shape[-1]:
        return x
    return F.interpolate(x, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def _size_of(spec: PretrainSpec, epoch: int) -> int | None:
    """Side of the pictures in an epoch: every one of `spec.sizes` has an equal part of the epochs."""
    return spec.sizes[epoch * len(spec.sizes) // spec.epochs] if spec.sizes else None


def with_epochs(spec: PretrainSpec, epochs: int) -> PretrainSpec:
    """The settings for another number of epochs; too few for the sizes of the pictures leave these out."""
    changed = replace(spec, epochs=epochs)
    return changed if not spec.sizes or _size_of(changed, epochs - 1) == spec.sizes[-1] else replace(changed, sizes=())


def _check_sizes(net: nn.Module, backbone: BackboneSpec, spec: PretrainSpec) -> None:
    if not spec.sizes:
        return
    if spec.sizes[-1] != backbone.size or not all(1 <= size <= backbone.size for size in spec.sizes):
        raise WfvizError(f"sizes {spec.sizes} have to end with the size of the pictures, {backbone.size}, and not go beyond it")
    if _size_of(spec, spec.epochs - 1) != backbone.size:
        raise WfvizError(f"{spec.epochs} epochs are too few for {len(spec.sizes)} sizes: the pictures would never have their own")
    for size in set(spec.sizes):
        try:
            with torch.no_grad():
                net.eval()(torch.zeros(1, backbone.channels, size, size))
        except (RuntimeError, AssertionError):
            raise WfvizError(f"{backbone.name} cannot take pictures of {size} px; choose other sizes, or leave them out") from None


def _drop_patches(net: nn.Module, backbone: BackboneSpec, part: float) -> None:
    """While it learns, a ViT sees the class token and a random 1 - `part` of the patches (PatchDropout, Liu et al. 2022, arXiv:2208.07220)."""
    if not part:
        return
    if not hasattr(net, "patch_drop"):  # timm's ViTs have it, without an effect
        raise WfvizError(f"--patch-drop hides patches of a ViT, and {backbone.name} has none; leave it out")
    from timm.layers import PatchDropout

    net.patch_drop = PatchDropout(part, num_prefix_tokens=net.num_prefix_tokens)


def _optimizer(net: nn.Module, backbone: BackboneSpec, spec: PretrainSpec) -> torch.optim.Optimizer:
    """sgd has Nesterov's momentum; muon is timm's for a transformer (matrices, the rest by NAdamW) and ours for a CNN."""
    groups = _groups(net, spec.weight_decay)
    transformer = recipe(backbone.name).transformer
    if spec.rest_lr is not None:
        if spec.optimizer != "muon" or transformer:
            raise WfvizError("a rate for the rest (--rest-lr) goes with the optimizer muon and a CNN; leave it out")
        filters = [p for p in net.parameters() if p.ndim >= 3]
        rest = _groups(net, spec.weight_decay, but=filters)
        groups = [{"params": filters}] + [{**group, "times": spec.rest_lr / spec.lr} for group in rest]
    if spec.optimizer == "muon" and transformer:
        from timm.optim import Muon

        return Muon(groups, lr=spec.lr, nesterov=True)
    return optimizer("momentum" if spec.optimizer == "sgd" else spec.optimizer, groups, spec.lr)


def _groups(net: nn.Module, weight_decay: float, but: Sequence[Tensor] = ()) -> list[dict]:
    """Weights decay; biases, norms and embeddings (fewer than two dimensions, or named so) do not. Those of `but` are left out."""
    ids = {id(p) for p in but}
    decay = [p for n, p in net.named_parameters() if p.ndim >= 2 and "embed" not in n and "token" not in n and id(p) not in ids]
    ids |= {id(p) for p in decay}
    rest = [p for p in net.parameters() if id(p) not in ids]
    return [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


@torch.no_grad()
def accuracy_of(net: nn.Module, pictures: Pictures, inputs: InputSpec, batch_size: int = 512, size: int | None = None) -> float:
    """Fraction of `pictures`, scaled to `size` px if it is given, that the network classifies correctly; nan without any."""
    net.eval()
    right = 0
    for indices in torch.arange(len(pictures)).split(batch_size):
        predicted = net(resized(normalize(pictures.take(indices), inputs), size)).argmax(1)
        right += int((predicted == pictures.labels[indices.to(pictures.labels.device)]).sum())
    return right / len(pictures) if len(pictures) else math.nan

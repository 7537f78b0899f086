"""What several commands share: folders, data, cards, and the command line that makes a thing again."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import wraps
from pathlib import Path

from torch import nn

from wfviz import checkpoints, plugins, pretraining, untraining
from wfviz.backbones import build
from wfviz.data import Data, limited, load_data
from wfviz.errors import WfvizError
from wfviz.files import alone
from wfviz.filtering import WFNet
from wfviz.filtering.choice import choose_layers
from wfviz.filtering.gates import class_index
from wfviz.growing import grown
from wfviz.specs import BackboneSpec, InputSpec, PretrainSpec
from wfviz.transferring import transferred

INTERRUPTED = 130


def writing(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A command that writes to --out, one process at a time."""
    @wraps(command)
    def run(args: argparse.Namespace) -> int:
        with alone(Path(args.out)):
            return command(args)

    return run


def run_folder(args: argparse.Namespace, *states: str) -> Path:
    """The output folder; nothing that is there is written over unasked."""
    folder = Path(args.out)
    started = any((folder / state).exists() for state in states) or (untraining.STATE in states and untraining.begun(folder))
    if args.resume and not started:
        why = "is finished" if (folder / checkpoints.CARD).exists() else "holds no interrupted run"
        raise WfvizError(f"{folder} {why}; there is nothing to resume")
    if (started or (folder / checkpoints.CARD).exists()) and not (args.resume or args.overwrite):
        raise WfvizError(f"{folder} already holds a run; add --resume, --overwrite, or choose another --out")
    check_writable(folder)
    return folder


def check_writable(folder: Path) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise WfvizError(f"{there} is a file, not a folder")
    if not os.access(there, os.W_OK):
        raise WfvizError(f"{there} may not be written to")


def words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def data_of(args: argparse.Namespace) -> Data:
    seed, pictures = _split(args)
    return limited(load_data(args.dataset, args.data_root, seed, size=args.image_size), pictures, seed)


def _split(args: argparse.Namespace) -> tuple[int, int | None]:
    """Seed of the validation split and number of training pictures: those of the network that `--from` goes on from,
    so that what was held out there stays so; else those that were asked for."""
    source = getattr(args, "source", None)
    known = (checkpoints.read_card(source).get("data") or {}) if source else {}
    known = known if _same(known.get("dataset"), args.dataset) else {}
    return known.get("seed", args.seed), args.train_pictures or known.get("train_pictures")


def _same(dataset: str | None, other: str) -> bool:
    """Whether two names mean the same pictures; a folder has many."""
    return dataset == other or (dataset is not None and Path(dataset).is_dir() and Path(dataset).resolve() == Path(other).resolve())


def backbone_of(args: argparse.Namespace, data: Data, pretrained: bool = False) -> BackboneSpec:
    return BackboneSpec(args.backbone, len(data.classes), data.inputs.channels, data.inputs.size, pretrained)


def card_of(args: argparse.Namespace, data: Data, backbone: BackboneSpec) -> dict:
    seed, pictures = _split(args)
    return {
        "backbone": asdict(backbone),
        "data": {"dataset": args.dataset, "seed": seed, "train_pictures": pictures},
        "seed": args.seed,
        "command": command_line(args.argv),
        "digests": {"data": data.digest()},
    }


def _layers(args: argparse.Namespace, backbone: BackboneSpec) -> tuple[str, ...] | None:
    """Patterns for the gated layers of a network that is to be trained: `--layers`, the recipe's, None for the paper's choice,
    or all where that makes none and they can be named later."""
    asked = getattr(args, "layers", None)
    patterns = tuple(words(asked)) if asked else pretraining.recipe(backbone.name).layers
    net = build(backbone)
    try:
        choose_layers(net, backbone.n_classes, patterns)
    except WfvizError:
        if patterns is not None or hasattr(args, "layers"):  # `untrain` will need them
            raise
        choose_layers(net, backbone.n_classes, ("*",))
        return ("*",)
    return patterns


def classes_of(text: str, classes: tuple[str, ...]) -> tuple[int, ...]:
    """Indices of classes by name or number, separated by commas; a name may hold one itself."""
    parts = [text.strip()] if text.strip() in classes else words(text)
    return tuple(dict.fromkeys(class_index(part, classes) for part in parts))


def command_line(argv: list[str]) -> str:
    """The command line that makes this again: without --resume, --overwrite and where the data lay."""
    kept, skip = [], False
    for word in argv:
        if skip or word in ("--resume", "--overwrite"):
            skip = False
        elif word == "--data-root":
            skip = True
        elif not word.startswith("--data-root="):
            kept.append(word)
    return shlex.join(["python", "-m", "wfviz", *kept, *plugins.needed(kept)])


def pretrained(args, data: Data, backbone: BackboneSpec, spec: PretrainSpec, folder: Path, accelerator, resume: bool, source: str | None = None):
    """Train the backbone, on from that of the checkpoint `source` if given, and leave it in `folder` as a checkpoint of its own."""
    spec = pretraining.spec_for(backbone.name, spec, len(data.train))
    layers = _layers(args, backbone)  # what cannot be gated is told before the training
    start, before, data = _begun(source, backbone, data, spec.seed) if source else (None, {}, data)
    net, about = pretraining.pretrain(
        data, backbone, spec, folder, accelerator, start=start, earlier=pretraining.epochs_of(before), resume=resume,
    )
    made = {**asdict(spec), **about, "command": command_line(args.argv), **before}
    if accelerator.is_main_process:
        card = {**card_of(args, data, backbone), "pretraining": made}
        wrapped = WFNet(net, len(data.classes), layers, classes=data.classes, inputs=data.inputs)
        checkpoints.save(wrapped, folder, card, kind="backbone")
        if about["state"] != "interrupted":  # not before the result is safe
            (folder / pretraining.STATE).unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return net, made


def _begun(source: str, backbone: BackboneSpec, data: Data, seed: int) -> tuple[nn.Module, dict, Data]:
    """The network that a training goes on from, what its card will say of that, and `data` normalised as it wants its pictures."""
    card = checkpoints.read_card(source)
    stored = BackboneSpec.from_dict(card["backbone"])
    net, earlier, normalised = plain_network(source, stored, data, same_classes=False)
    said = {"earlier": earlier}
    if stored.name != backbone.name:
        net, said["grown"] = grown(net, stored, backbone.name, seed), stored.name
    if (stored.channels, stored.size, [str(c) for c in card["classes"]]) == (backbone.channels, backbone.size, [str(c) for c in data.classes]):
        return net, said, normalised
    said["transferred"] = (card.get("data") or {}).get("dataset") or "other data"
    return transferred(net, backbone, seed), said, data


def plain_network(source: str | Path, backbone: BackboneSpec, data: Data, same_classes: bool = True) -> tuple[nn.Module, dict, Data]:
    """The classifier of a checkpoint, how it was trained, and `data` normalised as it wants its pictures.

    same_classes: whether its classes have to be those of `data`; a network that is trained on may have had others.
    """
    card = checkpoints.read_card(source)
    for known, asked in zip(card["classes"], data.classes, strict=False) if same_classes else ():
        if str(known) != str(asked):
            raise WfvizError(f"{source} knows other classes than {data.name}, {known} where there is {asked}; name the data it was trained on")
    made = card.get("pretraining") or {}
    if made.get("state") == "interrupted":
        raise WfvizError(f"the training of {source} was interrupted; go on with it first: {made.get('command', 'its command')} --resume")
    net = checkpoints.load_backbone(source, replace(backbone, pretrained=False))
    return net, made, replace(data, inputs=InputSpec.from_dict(card["inputs"])) if card.get("inputs") else data


def interrupted(args: argparse.Namespace) -> int:
    kept = [word for word in args.argv if word not in ("--resume", "--overwrite")]
    print(f"interrupted; go on with: {shlex.join(['python', '-m', 'wfviz', *kept, *plugins.needed(kept), '--resume'])}", file=sys.stderr)
    return INTERRUPTED

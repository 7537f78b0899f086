"""`compare`, `reproduce` and `results`: methods beside each other, and the tables made of them."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from wfviz import checkpoints, pretraining
from wfviz.backbones import build
from wfviz.commands.shared import backbone_of, check_writable, classes_of, command_line, data_of, interrupted, plain_network, pretrained, words, writing
from wfviz.comparisons import COMPARISON, ROWS, read
from wfviz.errors import WfvizError
from wfviz.plugins import is_own
from wfviz.specs import PretrainSpec
from wfviz.training import make_accelerator


@writing
def compare(args: argparse.Namespace) -> int:
    from wfviz import comparing, methods  # scikit-learn takes a second: only those who compare wait for it

    folder = _comparison(args)
    names = methods.names() if args.methods == "all" else tuple(dict.fromkeys(words(args.methods)))
    settings: dict[str, dict] = {}
    for name, changes in map(methods.setting, args.set):
        settings.setdefault(name, {}).update(changes)
    comparing.check(comparing.Plan(names, (0,), (0,), settings=settings))
    source = Path(args.source or folder / "original")
    again = (source / pretraining.STATE).exists()
    if not again and (source / checkpoints.CARD).exists():
        args.source = str(source)  # an original of an earlier call keeps its split, as one that was named does
    data = data_of(args)
    forget = range(len(data.classes)) if args.classes == "all" else classes_of(args.classes, data.classes)
    seeds = _seeds(args.seeds)
    comparing.check(comparing.Plan(names, tuple(forget), seeds, settings=settings))
    backbone = backbone_of(args, data)
    accelerator = make_accelerator(args.device, args.precision)
    if accelerator.num_processes > 1:
        raise WfvizError("compare runs in one process; start it without accelerate launch, one --out for every part of the methods or classes")
    if not args.source:
        spec = PretrainSpec(seed=args.seed, precision=args.precision)
        _, about = pretrained(args, data, backbone, spec, source, accelerator, resume=again)
        if about["state"] == "interrupted":
            return interrupted(args)
    model, _, data = plain_network(source, backbone, data)
    model = model.to(accelerator.device).eval().requires_grad_(False)
    if is_own(pretraining.recipe(backbone.name).make):
        untrained = checkpoints.backbone_digest(build(replace(backbone, pretrained=False)).state_dict())
        if untrained == checkpoints.backbone_digest(model.state_dict()):  # `retrain` and ZRF would start from what knows the class
            raise WfvizError(f"{backbone.name} is built with trained weights unasked; load them only `if spec.pretrained`")
    trained = pretraining.spec_of(checkpoints.read_card(source))
    origin = comparing.Origin(model, backbone, str(source), checkpoints.backbone_digest(model.state_dict()), trained)
    plan = comparing.Plan(names, tuple(forget), seeds, args.relearn, settings)
    if args.overwrite:  # not before everything that was asked for is known to be right
        for part in (ROWS, comparing.MODELS):
            shutil.rmtree(folder / part, ignore_errors=True)
        (folder / COMPARISON).unlink(missing_ok=True)
    try:
        comparing.compare(plan, origin, data.to(accelerator.device), folder, card={"command": command_line(args.argv)})
    except KeyboardInterrupt:
        return interrupted(args)
    _compared(folder)
    return 0


def reproduce(args: argparse.Namespace) -> int:
    from wfviz import cli, reproducing

    if args.table == "kga":
        wanted = reproducing.kga(args.cells, _seeds(args.seeds), Path(args.out))
    elif args.table == "imagenet":
        if not args.imagenet:
            raise WfvizError("reproduce imagenet needs --imagenet DIR, a folder with train/ and val/, one folder of pictures a class in each")
        wanted = reproducing.imagenet(Path(args.imagenet), args.cells, _seeds(args.seeds), Path(args.out))
    else:
        tables = reproducing.TABLES if args.table == "all" else (args.table,)
        wanted = reproducing.steps(tables, args.cells, _seeds(args.seeds), Path(args.out))
    where = [word for flag, value in (("--data-root", args.data_root), ("--device", args.device)) if value for word in (flag, value)]
    for step in wanted:
        left = reproducing.todo(step)
        print(f"{step}{'' if left else '   # done'}", flush=True)
        for command in () if args.dry_run else left:
            code = cli.main([*command, *where])
            if code:
                return code
    return 0


def results(args: argparse.Namespace) -> int:
    from wfviz.results import write

    write(Path(args.out), *args.folders)
    print(args.out)
    return 0


def _comparison(args: argparse.Namespace) -> Path:
    """The folder of a comparison."""
    folder = Path(args.out)
    if (folder / checkpoints.CARD).exists():
        raise WfvizError(f"{folder} holds a checkpoint; choose another --out for the comparison")
    if (folder / COMPARISON).exists() and not (folder / ROWS).is_dir() and not args.overwrite:
        there = f"{folder} holds a comparison that was made elsewhere"
        if not any("key" in row for row in read(folder).rows):
            raise WfvizError(f"{there}, by an older version; choose another --out, or replace it with --overwrite")
        if not args.resume:
            raise WfvizError(f"{there}; go on from it with --resume, choose another --out, or replace it with --overwrite")
    check_writable(folder)
    return folder


def _seeds(text: str) -> tuple[int, ...]:
    try:
        found = tuple(dict.fromkeys(int(word) for word in words(text)))
    except ValueError:
        found = (-1,)
    if not all(0 <= seed < 2**32 for seed in found):
        raise WfvizError(f"--seeds takes whole numbers from 0 up, comma-separated, not {text!r}")
    return found


def _compared(folder: Path) -> None:
    """The table of a comparison, a line a method."""
    from wfviz.results import cell
    from wfviz.scores import lines

    found = read(folder)
    print(f"{folder}  (test split; mean ± std over the forgotten classes and seeds, the worst in brackets)")
    table = lines(found, "test")
    width = max(len(line.title) for line in table)
    print(f"  {'method':{width}} {'Acc_r ↑':26} {'Acc_f ↓':26} {'time ↓':>16}")
    for line in table:
        said = [cell(line.scores[name], unit) for name, unit in (("Acc_r", "share"), ("Acc_f", "share"), ("time", "seconds"))]
        print(f"  {line.title:{width}} {said[0]:26} {said[1]:26} {said[2]:>16}" + (f"  {line.failed} failed" if line.failed else ""))
    failed = {(row["title"], row.get("error", "")): found.classes[row["forget"]] for row in reversed(found.rows) if row["state"] == "failed"}
    for (title, reason), name in reversed(failed.items()):
        print(f"  {title}, {name}: {reason}")

"""`pretrain` and `untrain`."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm

from wfviz import checkpoints, pretraining, untraining
from wfviz.backbones import build, pretrained_inputs
from wfviz.commands.evaluating import accuracy_table, evaluate, evaluated, with_curves
from wfviz.commands.shared import backbone_of, card_of, data_of, interrupted, plain_network, pretrained, run_folder, writing
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.filtering.choice import choose_layers
from wfviz.runs import evaluations
from wfviz.specs import PretrainSpec, UntrainSpec
from wfviz.substitutes import SYNTHETIC, check_source, learning_data
from wfviz.training import make_accelerator


@writing
def pretrain(args: argparse.Namespace) -> int:
    folder = run_folder(args, pretraining.STATE)
    if args.source and Path(args.source).resolve() == folder.resolve():
        raise WfvizError(f"{folder} is where it goes on from and would be written over; choose another --out")
    data = data_of(args)
    backbone = backbone_of(args, data)
    accelerator = make_accelerator(args.device, args.precision)
    spec = PretrainSpec(
        epochs=args.epochs, batch_size=args.batch_size, optimizer=args.optimizer, lr=args.lr,
        rest_lr=args.rest_lr, weight_decay=args.weight_decay, sizes=args.sizes, cutout=args.cutout, skip_easy=args.skip_easy,
        patch_drop=args.patch_drop, precision=args.precision, seed=args.seed,
    )
    net, about = pretrained(args, data, backbone, spec, folder, accelerator, resume=args.resume, source=args.source)
    if accelerator.is_main_process:
        seen = "not validated yet" if about["val_accuracy"] is None else f"validation accuracy {about['val_accuracy']:.1%}"
        print(f"{about['state']}: {about['epochs']:g} epochs, {seen}, in {folder}")
    return interrupted(args) if about["state"] == "interrupted" else 0


@writing
def untrain(args: argparse.Namespace) -> int:
    spec = _untrain_spec(args)
    if args.resume and not args.no_evaluate and (left := _unjudged(args)):
        return next((code for command in left if (code := evaluate(command))), 0)
    folder = run_folder(args, untraining.STATE, pretraining.STATE)
    if args.no_backbone and not args.source:
        raise WfvizError("--no-backbone leaves the network where --from finds it: name its folder there")
    elsewhere = {"backbone_from": checkpoints.read_card(args.source).get("backbone_from", args.source)} if args.no_backbone else {}
    if elsewhere and Path(elsewhere["backbone_from"]).resolve() == folder.resolve():
        raise WfvizError(f"{folder} is where the network lies that --no-backbone leaves there; choose another --out")
    if args.resume and untraining.begun(folder) and not (folder / pretraining.STATE).exists():
        args.source = str(folder)  # its network, and the split that it was trained on
    data = data_of(args)
    backbone = backbone_of(args, data, pretrained=args.pretrained)
    accelerator = make_accelerator(args.device, args.precision)
    untraining.check(spec, accelerator.num_processes)
    choose_layers(build(replace(backbone, pretrained=False)), len(data.classes), spec.layers)  # fails before hours of training
    check_source(data, spec.learn_from, args.data_root, args.seed)
    there = args.resume and not (folder / pretraining.STATE).exists()  # the network in `folder` is the one to go on with
    resume = there and (folder / untraining.STATE).exists()
    made: dict = {}
    if there or args.source:
        plain, made, data = plain_network(folder if there else args.source, backbone, data)
    elif args.pretrained:
        plain = build(backbone)
        data = replace(data, inputs=pretrained_inputs(plain, data.inputs))
    else:
        again = args.resume and (folder / pretraining.STATE).exists()
        _forget_states(args, folder)
        plain, made = pretrained(args, data, backbone, PretrainSpec(seed=args.seed, precision=args.precision), folder, accelerator, resume=again)
        if made["state"] == "interrupted":
            return interrupted(args)
    net = WFNet(plain, len(data.classes), spec.layers, classes=data.classes, inputs=data.inputs, alpha_start=spec.alpha_start)
    net.to(accelerator.device)
    card = {**card_of(args, data, backbone), "pretraining": made}
    started = time.monotonic()
    quiet = spec.learn_from != SYNTHETIC or not accelerator.is_main_process
    with accelerator.autocast(), tqdm(total=100, desc="making pictures", unit="%", disable=quiet, dynamic_ncols=True) as bar:
        learned = learning_data(data, spec.learn_from, net.eval(), args.data_root, args.seed, lambda done: bar.update(round(100 * done) - bar.n))
    accelerator.wait_for_everyone()  # nobody reads the folder any more
    _forget_states(args, folder)
    if accelerator.is_main_process and not resume:  # with the backbone in place, an interrupted run can go on alone
        checkpoints.save(net, folder, {**card, "untraining": {**asdict(spec), "state": untraining.STARTED}})
    made_in = time.monotonic() - started
    about = untraining.untrain(net, learned, spec, folder, accelerator, resume=resume)
    card["untraining"] = {**asdict(spec), **about, **({"pictures_seconds": round(made_in, 1)} if spec.learn_from == SYNTHETIC else {})}
    net.requires_grad_(False).eval()
    if accelerator.is_main_process:
        if about["state"] == "interrupted":  # what goes on goes on exactly
            checkpoints.save(net, folder, card)
        else:
            checkpoints.save(net, folder, {**card, **elsewhere}, half=args.half, with_backbone=not elsewhere)
            (folder / untraining.STATE).unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    if about["state"] == "interrupted":
        return interrupted(args)
    if not args.no_evaluate:
        net = checkpoints.load(folder, accelerator.device)  # what is on the disk is what is judged
        for split, limit in (("test", None), ("train", args.limit)):
            evaluated(net, data, folder, split, limit, 512, accelerator)
        with_curves(net, data, folder, args.curves, accelerator)
        if accelerator.is_main_process:
            accuracy_table(checkpoints.read_card(folder), folder)
    return 0


def _unjudged(args: argparse.Namespace) -> list[argparse.Namespace]:
    """The evaluations that an interrupted `untrain` has left undone, where α is learned and stored."""
    folder = Path(args.out)
    if not (folder / checkpoints.CARD).exists():
        return []
    card = checkpoints.read_card(folder)
    if card["kind"] != "wfnet" or (card.get("untraining") or {}).get("state") not in ("done", "stopped early"):
        return []
    from wfviz.cli import parser

    there = card.get("metrics") or {}
    again = [parser().parse_args(command) for command in evaluations(tuple(args.argv), folder)]
    return [one for one in again if one.split not in there or (one.split == "test" and one.curves and not card.get("curves"))]


def _forget_states(args: argparse.Namespace, folder: Path) -> None:
    """--overwrite, once everything that was asked for is known to be right."""
    old = (untraining.STATE, pretraining.STATE, *([checkpoints.CARD] if untraining.begun(folder) else [])) if args.overwrite else ()
    for name in old:
        (folder / name).unlink(missing_ok=True)


def _untrain_spec(args: argparse.Namespace) -> UntrainSpec:
    fields = (
        "steps", "epochs", "batch_size", "optimizer", "schedule", "lr", "lambda_retain", "lambda_forget",
        "lambda_gates", "lambda_middle", "forget_loss", "retain_loss", "epsilon", "alpha_start", "expansion", "patience", "learn_from",
    )
    changes = {name: getattr(args, name) for name in fields if getattr(args, name) is not None}
    if args.layers:
        changes["layers"] = tuple(part.strip() for part in args.layers.split(",") if part.strip())
    spec = untraining.spec_for(args.backbone, args.preset, **changes, precision=args.precision, seed=args.seed)
    return replace(spec, epochs=None) if args.steps else spec

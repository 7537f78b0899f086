"""`evaluate`: confusion matrices and curves, stored with the checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from wfviz import checkpoints
from wfviz.data import Data, limited, load_data
from wfviz.errors import WfvizError
from wfviz.files import write_json
from wfviz.filtering import WFNet
from wfviz.metrics.accuracy import evaluate as evaluate_split
from wfviz.metrics.accuracy import summary
from wfviz.metrics.curves import curves
from wfviz.metrics.curves import summary as curve_summary
from wfviz.training import make_accelerator


def evaluate(args: argparse.Namespace) -> int:
    card = checkpoints.read_card(args.folder)
    accelerator = make_accelerator(args.device, "no")
    net = checkpoints.load(args.folder, accelerator.device)
    if net.inputs is None:
        raise WfvizError(f"the card of {args.folder} does not say what pictures it takes; save it again with WFNet(..., inputs=InputSpec(...))")
    known = card.get("data") or {}
    data = load_data(known.get("dataset", ""), args.data_root, known.get("seed", 0), size=net.inputs.size)
    data = limited(data, known.get("train_pictures"), known.get("seed", 0))
    if data.classes != net.classes:
        raise WfvizError(f"{known.get('dataset')} has other classes than {args.folder} was made for")
    if card["digests"].get("data") not in (None, data.digest()):
        raise WfvizError(f"the pictures of {known.get('dataset')} have changed since {args.folder} was made; put them back, or make it again")
    evaluated(net, data, Path(args.folder), args.split, args.limit, args.batch_size, accelerator)
    if args.split == "test":
        with_curves(net, data, Path(args.folder), args.curves, accelerator)
    if accelerator.is_main_process:
        card = checkpoints.read_card(args.folder)
        accuracy_table(card, Path(args.folder), args.split)
        if args.json:
            write_json(Path(args.json), {"folder": args.folder, "split": args.split, "digests": card["digests"], **card["metrics"][args.split]})
    return 0


def evaluated(net: WFNet, data: Data, folder: Path, split: str, limit: int | None, batch_size: int, accelerator) -> None:
    """Evaluate one split and store it with the checkpoint: the arrays, then the numbers in the card."""
    pictures = getattr(data, split).sample(limit)
    net.to(memory_format=torch.channels_last)  # up to twice as fast
    share = (accelerator.process_index, accelerator.num_processes)
    total = len(range(len(pictures))[share[0] :: share[1]]) * (len(net.classes) + 1)
    with tqdm(total=total, desc=f"evaluating {split}", unit="pic", disable=not accelerator.is_main_process, dynamic_ncols=True) as bar:
        fresh = evaluate_split(
            net, pictures, split, batch_size=batch_size, share=share,
            reduce=lambda counts: accelerator.reduce(counts, "sum"), progress=bar.update,
        )
    if accelerator.is_main_process:
        checkpoints.save_evaluation(folder, fresh)
        card = checkpoints.read_card(folder)
        made = {**(card.get("metrics") or {}), split: {**summary(fresh, split, net.classes), "of": len(getattr(data, split))}}
        card["metrics"] = dict(sorted(made.items()))  # test before train, whichever was evaluated first
        write_json(folder / checkpoints.CARD, card)
    accelerator.wait_for_everyone()


def with_curves(net: WFNet, data: Data, folder: Path, per_class: int, accelerator) -> None:
    """Insertion and deletion on test pictures, stored with the checkpoint; one process is enough."""
    if per_class and accelerator.is_main_process:
        with tqdm(total=len(net.classes), desc="insertion and deletion", unit="class", dynamic_ncols=True) as bar:
            found = curves(net, data.test, per_class=per_class, progress=bar.update)
        checkpoints.save_evaluation(folder, curves=found)
        card = checkpoints.read_card(folder)
        card["curves"] = {"split": "test", "per_class": per_class, **curve_summary(found, net.classes)}
        write_json(folder / checkpoints.CARD, card)
    accelerator.wait_for_everyone()


def accuracy_table(card: dict, folder: Path, split: str | None = None) -> None:
    """The accuracy table of a card, a line a split."""
    print(f"{folder}  ({len(card['classes'])} classes; mean ± std over the forgotten class, worst class named)")
    print(f"  {'split':6} {'pictures':>8} {'original':>9}  {'Acc_r (higher is better)':32} {'Acc_f (lower is better)':32}")
    for name, m in card["metrics"].items():
        if split in (None, name):
            cells = [
                f"{m[k]['mean']:6.1%} ± {m[k]['std']:.1%}, worst {m[k]['worst']:.1%} {m[k]['worst_class']}" for k in ("acc_r", "acc_f")
            ]
            print(f"  {name:6} {m['pictures']:8,} {m['accuracy']:9.1%}  {cells[0]:32} {cells[1]:32}")
    for mode, better in (("insertion", "higher"), ("deletion", "lower")):
        areas = (card.get("curves") or {}).get(mode)
        if areas:
            print(f"  {mode} AUC ({better} is better)  " + ", ".join(f"{order} {area['mean']:.3f}" for order, area in areas.items()))

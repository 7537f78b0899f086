"""What forgetting costs: one WF-Net round for all classes beside one retraining, and one negative gradient for every class.

    python -m benchmarks.untraining --dataset digits --backbone cnn --from checkpoints/digits-cnn [--share 0.05]

All in one run on one machine, one after the other, from the same network. The round is the one that made the checkpoint, or the
preset `default` where it holds no gates; the retraining is that of its classifier. The target for CIFAR-10 with ResNet-18:
the round takes less than a tenth of one retraining, and less than the negative gradients of all classes: ours end as soon as the
class is forgotten, often after a few steps, so that one pass over the pictures of each class is timed as well.
"""

import argparse
import math
import os
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path

from wfviz import checkpoints, methods, pretraining
from wfviz.data import load_data
from wfviz.filtering import WFNet
from wfviz.specs import BackboneSpec, PretrainSpec, UntrainSpec
from wfviz.training import make_accelerator
from wfviz.untraining import spec_for, untrain


def seconds(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--from", dest="source", required=True, metavar="DIR", help="checkpoint of the original")
    parser.add_argument("--data-root")
    parser.add_argument("--share", type=float, default=1.0, help="part of the pictures that the retraining passes over in each of its epochs, "
                        "for a slow machine; its time is divided by it (1)")
    parser.add_argument("--classes", type=int, default=10, help="classes for which the negative gradient is timed (10)")
    args = parser.parse_args()
    data = load_data(args.dataset, args.data_root)
    backbone = BackboneSpec(args.backbone, len(data.classes), data.inputs.channels, data.inputs.size)
    device = checkpoints.best_device()
    model, data = checkpoints.load_backbone(args.source, backbone).to(device).eval(), data.to(device)
    card = checkpoints.read_card(args.source)
    trained = pretraining.spec_for(args.backbone, pretraining.spec_of(card) or PretrainSpec(), len(data.train))
    made = {f.name: card["untraining"][f.name] for f in fields(UntrainSpec) if f.name in (card.get("untraining") or {})}
    how = UntrainSpec.from_dict(made) if made else spec_for(args.backbone, "default")
    forget = range(min(args.classes, len(data.classes)))

    net = WFNet(model, len(data.classes), how.layers, classes=data.classes, inputs=data.inputs, alpha_start=how.alpha_start).to(device)
    with tempfile.TemporaryDirectory() as folder:
        one_round = seconds(lambda: untrain(net, data, how, Path(folder), make_accelerator(device.type, how.precision)))
    ascent = methods.get("negative_gradient")

    def ascend(c: int, **settings) -> float:
        return seconds(lambda: ascent.run(model, (c,), data, ascent.spec(0, backbone, **settings)))

    size = ascent.spec().batch_size
    gradients = sum(ascend(c) for c in forget)
    passes = sum(ascend(c, stop_at=-1.0, steps=math.ceil(int((data.train.labels == c).sum()) / size)) for c in forget)
    retrain = methods.get("retrain")
    some = replace(data, train=data.train.sample(round(args.share * len(data.train)), 0), val=data.val.sample(round(args.share * len(data.val)), 0))
    anew = seconds(lambda: retrain.run(model, (0,), some, retrain.spec(0, backbone, trained))) / args.share

    print(f"{args.backbone} on {data.name}, {device}, {os.cpu_count()} cores")
    for words, taken in (
        (f"one WF-Net round, all {len(data.classes)} classes", one_round),
        (f"negative gradient, {len(forget)} classes, until forgotten", gradients),
        ("the same, one pass over each class", passes),
        ("one retraining without one class" + (f", from {args.share:g} of it" if args.share < 1 else ""), anew),
        (f"retraining for all {len(data.classes)} classes", anew * len(data.classes)),
    ):
        print(f"  {words:48} {taken:10.1f} s   {taken / one_round:8.2f} of the round")


if __name__ == "__main__":
    main()

"""What forgetting costs: one WF-Net round for all classes beside one retraining, and one negative gradient for every class.

    python -m benchmarks.untraining --dataset digits --backbone cnn --from checkpoints/digits-cnn [--epochs 0]

All in one run on one machine, one after the other, from the same network. The target for CIFAR-10 with ResNet-18:
the round takes less than a tenth of one retraining, and less than the negative gradients of all classes.
"""

import argparse
import os
import time

from wfviz import checkpoints, methods, pretraining
from wfviz.data import load_data
from wfviz.specs import BackboneSpec


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
    parser.add_argument("--epochs", type=int, default=0, help="of the retraining; 0: as many as the original had")
    parser.add_argument("--classes", type=int, default=10, help="classes for which the negative gradient is timed (10)")
    args = parser.parse_args()
    data = load_data(args.dataset, args.data_root)
    backbone = BackboneSpec(args.backbone, len(data.classes), data.inputs.channels, data.inputs.size)
    device = checkpoints.best_device()
    model, data = checkpoints.load_backbone(args.source, backbone).to(device).eval(), data.to(device)
    trained = pretraining.spec_of(checkpoints.read_card(args.source))
    forget = range(min(args.classes, len(data.classes)))

    wfnet, ascent = methods.get("wfnet"), methods.get("negative_gradient")
    one_round = seconds(lambda: wfnet.prepare(model, data, wfnet.spec(backbone=backbone)))
    gradients = sum(seconds(lambda c=c: ascent.run(model, (c,), data, ascent.spec(backbone=backbone))) for c in forget)
    retrain = methods.get("retrain")
    anew = seconds(lambda: retrain.run(model, (0,), data, retrain.spec(backbone=backbone, pretraining=trained, epochs=args.epochs)))

    print(f"{args.backbone} on {data.name}, {device}, {os.cpu_count()} cores")
    for words, taken in (
        (f"one WF-Net round, all {len(data.classes)} classes", one_round),
        (f"negative gradient, {len(forget)} classes one by one", gradients),
        ("one retraining without one class", anew),
        (f"retraining for all {len(data.classes)} classes", anew * len(data.classes)),
    ):
        print(f"  {words:48} {taken:10.1f} s   {taken / one_round:8.2f} of the round")


if __name__ == "__main__":
    main()

"""What one epoch of relearning costs networks that have nothing to relearn, by rate: which rate measures and which destroys.

    python -m benchmarks.relearning checkpoints/digits-cnn checkpoints/mnist-cnn [--data-root data]

Accuracy on at most 1,000 validation pictures. `compare` takes the largest rate that costs at most 5 points.
"""

import argparse

from wfviz.checkpoints import best_device, load_backbone, read_card
from wfviz.data import load_data
from wfviz.metrics.relearning import RATES, TRIED, after_an_epoch
from wfviz.pretraining import accuracy_of
from wfviz.specs import BackboneSpec


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="DIR")
    parser.add_argument("--data-root", default=None)
    args = parser.parse_args()

    print(f"| network | before |{''.join(f' {lr:g} |' for lr in RATES)}\n|---|---|{'---|' * len(RATES)}")
    for folder in args.folders:
        card = read_card(folder)
        data = load_data(card["data"]["dataset"], args.data_root)
        net = load_backbone(folder, BackboneSpec.from_dict(card["backbone"])).eval().to(best_device())
        val = data.val.sample(TRIED)
        after = [after_an_epoch(net, lr, data.train, val, data.inputs) for lr in RATES]
        print(f"| {folder.rstrip('/').rpartition('/')[2]} |{''.join(f' {a:.1%} |' for a in (accuracy_of(net, val, data.inputs), *after))}", flush=True)


if __name__ == "__main__":
    main()

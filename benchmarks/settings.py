"""What the settings of a method give, on validation pictures alone: for choosing them without a look at the test split.

    python -m benchmarks.settings svd --dataset cifar10 --backbone resnet18 --from checkpoints/cifar10-resnet18 \\
        --forget cat --try shares [1.0] [0.3] --set alphas_f=[3.0] --set alphas_r=[100.0]

Every combination of the values after each `--try` is run once from the same network, and its Acc_r and Acc_f are those of
the validation split, `--limit` pictures of the retained and of the forgotten classes at most.
"""

import argparse
import itertools
import os
import time

from wfviz import checkpoints, methods
from wfviz.commands.shared import plain_network
from wfviz.data import forget_set, load_data, retain_set
from wfviz.filtering.gates import class_index
from wfviz.pretraining import accuracy_of
from wfviz.specs import BackboneSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--from", dest="source", required=True, metavar="DIR", help="checkpoint of the original")
    parser.add_argument("--forget", required=True, metavar="CLASS", help="by name or number")
    parser.add_argument("--try", dest="tried", action="append", nargs="+", default=[], metavar="SETTING VALUE", help="a setting and its values; repeatable")
    parser.add_argument("--set", dest="fixed", action="append", default=[], metavar="SETTING=VALUE", help="a setting that stays; repeatable")
    parser.add_argument("--limit", type=int, default=1000, help="validation pictures of either side at most (1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-root")
    args = parser.parse_args()

    data = load_data(args.dataset, args.data_root)
    backbone = BackboneSpec(args.backbone, len(data.classes), data.inputs.channels, data.inputs.size)
    model, _, data = plain_network(args.source, backbone, data)
    device = checkpoints.best_device()
    model, data = model.to(device).eval(), data.to(device)
    forget, method = (class_index(args.forget, data.classes),), methods.get(args.method)
    sides = [of(data.val, forget).sample(args.limit, args.seed) for of in (retain_set, forget_set)]

    def told(net) -> str:
        return " | ".join(f"{100 * accuracy_of(net, side, data.inputs):.1f}" for side in sides)

    print(f"{method.title}, {data.classes[forget[0]]} forgotten; validation pictures: {len(sides[0])} retained, {len(sides[1])} forgotten; "
          f"{os.cpu_count()} cores, {device.type}\n")
    keys = [key for key, *_ in args.tried]
    print(f"| {' | '.join([*keys, 'Acc_r %', 'Acc_f %', 's'])} |\n|{'---|' * (len(keys) + 3)}")
    print(f"| {' | '.join([*['before'][: len(keys)], *[''] * (len(keys) - 1), told(model), '0'])} |", flush=True)
    for values in itertools.product(*(values for _, *values in args.tried)):
        texts = [*args.fixed, *(f"{key}={value}" for key, value in zip(keys, values, strict=True))]
        settings = {key: value for text in texts for key, value in methods.setting(f"{args.method}.{text}")[1].items()}
        start = time.perf_counter()
        net = method.run(model, forget, data, method.spec(args.seed, backbone, **settings))
        taken = time.perf_counter() - start
        print(f"| {' | '.join([*values, told(net), f'{taken:.0f}'])} |", flush=True)


if __name__ == "__main__":
    main()

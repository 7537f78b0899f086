"""A thousand classes: SqueezeNet 1.1 with ImageNet weights, untrained on one picture a class, before and after.

    python -m benchmarks.imagenet --pictures DIR --weights squeezenet1_1.safetensors [--size 224] [--steps 600] [--set retain_loss=teacher] [--precision bf16]

DIR holds one picture a class, in the order of the classes when sorted by name (n01440764_tench.jpg, ...). That is far too
little to judge generalisation by: the same pictures are learned from and judged. It shows that a round for a thousand
classes runs, what it costs in time and memory, and that every row forgets its own class and not the others.
With ImageNet itself: `python -m wfviz reproduce imagenet --imagenet DIR`.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from benchmarks.search import changes
from wfviz.backbones import build
from wfviz.data import IMAGENET_STATISTICS, SUFFIXES, Data, FilePictures, Pictures
from wfviz.filtering import WFNet
from wfviz.metrics.accuracy import batches
from wfviz.specs import BackboneSpec, InputSpec
from wfviz.training import generator, make_accelerator
from wfviz.untraining import spec_for, untrain


@torch.no_grad()
def accuracy(net: WFNet, pictures: Pictures, rows: str) -> float:
    """Of all pictures: with nothing forgotten ("none"), their own class ("own"), or another one drawn at random ("other")."""
    right, n, draw = 0, len(net.classes), generator(0, 0, 5)
    for x, y in batches(pictures, net, 50):
        other = (y + torch.randint(1, n, (len(y),), generator=draw).to(y.device)) % n
        right += int((net(x, forget={"none": None, "own": y, "other": other}[rows]).argmax(1) == y).sum())
    return right / len(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, metavar="DIR")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE")
    parser.add_argument("--size", type=int, default=224, help="pixels (224)")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--set", type=changes, default={}, metavar="NAME=VALUE,...", help="other settings of the round")
    parser.add_argument("--precision", default="auto", help="of the round: auto (bf16 on a GPU), bf16 or no; accuracies are taken in float32")
    args = parser.parse_args()
    inputs = InputSpec(3, args.size, *IMAGENET_STATISTICS)
    files = sorted(p for p in args.pictures.iterdir() if p.suffix.lower() in SUFFIXES)
    on_disk = FilePictures(files, torch.arange(len(files)), inputs)
    pictures = Pictures(on_disk.take(torch.arange(len(files))), on_disk.labels)
    data = Data("one picture a class", tuple(p.stem for p in files), inputs, pictures, pictures, pictures)

    plain = build(BackboneSpec("squeezenet1_1", len(files), 3, args.size))
    plain.load_state_dict(load_file(args.weights))
    accelerator = make_accelerator(precision=args.precision)
    given = {"steps": args.steps, "batch_size": args.batch_size, "lr": args.lr, "evaluate_every": max(1, args.steps // 2), "precision": args.precision} | args.set
    spec = spec_for("squeezenet1_1", "default", **given)
    net = WFNet(plain, len(files), spec.layers, classes=data.classes, inputs=inputs, alpha_start=spec.alpha_start).to(accelerator.device)
    numbers = {"before": accuracy(net, pictures, "none")}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        about = untrain(net, data, spec, Path(folder), accelerator)
    seconds = time.perf_counter() - start
    net.requires_grad_(False).eval()
    numbers |= {f"after, {rows} forgotten": accuracy(net, pictures, rows) for rows in ("own", "other", "none")}
    gates = torch.cat([g.flatten() for kinds in net.gates().values() for g in kinds.values()])
    for name, value in numbers.items():
        print(f"{name:24} {value:7.1%}")
    print(f"{about['steps']} steps of {args.batch_size} pictures of {args.size} px in {seconds:.0f} s ({seconds / about['steps']:.2f} s a step), "
          f"{gates.numel():,} gates ({gates.numel() * 4 / 2**20:.1f} MiB), {float((gates < 0.5).float().mean()):.1%} of them closed, "
          f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()

"""Seconds of one training step in 32 bits and in bf16: whether `--precision bf16` is worth it on this machine.

    python -m benchmarks.precision [--backbone resnet18] [--sizes 16,24,32] [--batch 500] [--rounds 3]

On a CPU that computes in bf16 (AVX512_BF16 or AMX) it is; on others bf16 is imitated and slower. The fastest of the
rounds counts, every round takes both in turn.
"""

import argparse
import time

import torch
import torch.nn.functional as F

from wfviz.backbones import build
from wfviz.specs import BackboneSpec
from wfviz.training import make_accelerator


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[16, 24, 32])
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default=None)
    args = parser.parse_args()

    print(f"{args.backbone}, batches of {args.batch}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| px | 32 bits, s | bf16, s | times as fast |\n|---|---|---|---|")
    for size in args.sizes:
        seconds = {precision: [] for precision in ("no", "bf16")}
        for _ in range(args.rounds):
            for precision, taken in seconds.items():
                taken.append(step(args, size, precision))
        full, half = (min(taken) for taken in seconds.values())
        print(f"| {size} | {full:.2f} | {half:.2f} | {full / half:.1f} |", flush=True)


def step(args, size: int, precision: str) -> float:
    """Seconds of one forward and backward pass, after one that nobody counts."""
    accelerator = make_accelerator(args.device, precision)
    torch.manual_seed(0)
    net = build(BackboneSpec(args.backbone, args.classes, args.channels, size))
    net = accelerator.prepare(net.to(memory_format=torch.channels_last).train())
    x = torch.randn(args.batch, args.channels, size, size, device=accelerator.device)
    y = torch.arange(args.batch, device=accelerator.device) % args.classes
    for _ in range(2):
        start = time.perf_counter()
        with accelerator.autocast():
            loss = F.cross_entropy(net(x), y)
        accelerator.backward(loss)
        net.zero_grad()
        loss.item()  # waits for a GPU
        taken = time.perf_counter() - start
    return taken


if __name__ == "__main__":
    main()

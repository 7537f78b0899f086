"""Fused or plain attention for the short sequences of small pictures: milliseconds a picture, forwards and with the backward pass.

    python -m benchmarks.attention [--backbone vit_tiny] [--size 28] [--threads 2]
"""

import argparse
import time

import torch

from wfviz.backbones import build
from wfviz.specs import BackboneSpec

BATCH = 128


def seconds(net: torch.nn.Module, pictures: torch.Tensor, backward: bool, precision: torch.dtype) -> float:
    """The fastest of four passes over the batch."""
    found = []
    for _ in range(4):
        start = time.perf_counter()
        with torch.set_grad_enabled(backward), torch.autocast(pictures.device.type, precision, enabled=precision is not torch.float32):
            out = net(pictures).float().logsumexp(1).sum()
        if backward:
            out.backward()
        out.item()  # on a GPU it ends here
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="vit_tiny")
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = build(BackboneSpec(args.backbone, 10, 1, args.size)).to(device)
    pictures = torch.rand(BATCH, 1, args.size, args.size, device=device)
    print(f"{args.backbone}, {args.size} px, {device}, {args.threads} threads, batches of {BATCH}: ms a picture")
    for precision in (torch.float32, torch.bfloat16):
        for fused in (True, False):
            for block in net.blocks:
                block.attn.fused_attn = fused
            forward, both = (seconds(net, pictures, backward, precision) / BATCH * 1000 for backward in (False, True))
            print(f"  {str(precision).removeprefix('torch.'):9} {'fused' if fused else 'plain':6} forward {forward:6.2f}  with backward {both:6.2f}")


if __name__ == "__main__":
    main()

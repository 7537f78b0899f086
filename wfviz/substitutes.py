"""What to untrain on where the training set is not at hand: held-out pictures, other pictures, or synthetic ones.

Poppi et al. 2024 call it the harder case. Nothing here looks at the training or the test split, and only `held_out` at
true labels: for the others the network's own predictions stand in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wfviz.data import Data, Pictures, hold_out, load_data
from wfviz.errors import WfvizError
from wfviz.pictures import normalize
from wfviz.specs import InputSpec

TRAIN, HELD_OUT, SYNTHETIC, PHOTOS = "train", "val", "synthetic", "photos"
PER_CLASS = 100  # synthetic pictures of every class
BORROWED = 10_000  # pictures of another data set at most


def check_source(data: Data, source: str, root: str | None = None, seed: int = 0) -> None:
    """WfvizError where there is nothing to learn from under that name, before anything is computed. Arguments as for `learning_data`."""
    if source not in (TRAIN, HELD_OUT, SYNTHETIC, PHOTOS):
        _another(data, source, root, seed)


def _another(data: Data, source: str, root: str | None, seed: int) -> Data:
    """Another data set, in pictures of the size of `data`."""
    if source == data.name:
        raise WfvizError(f"{source} is the data set itself; learn from another, or from {HELD_OUT}, {SYNTHETIC} or {PHOTOS}")
    return load_data(source, root, seed, size=data.inputs.size)


def learning_data(data: Data, source: str, net: nn.Module, root: str | None = None, seed: int = 0, progress: Callable[[float], None] = lambda done: None) -> Data:
    """`data` with the pictures to learn from and to validate on replaced as `source` says; the test split stays.

    source: "train" (nothing is replaced), "val" (one half of the validation split to learn from, the other half to
    validate on), "synthetic", "photos", or the name or folder of another data set. net: the original. root: of the
    other data set.
    """
    if source == TRAIN:
        return data
    if source == HELD_OUT:
        order = torch.randperm(len(data.val), generator=torch.Generator().manual_seed(seed))
        return replace(data, train=data.val.subset(order[::2]), val=data.val.subset(order[1::2]))
    if source == SYNTHETIC:
        return _split(data, synthetic(net, data.inputs, len(data.classes), PER_CLASS, seed=seed, progress=progress), seed)
    if source == PHOTOS:
        others = photographs(data.inputs, BORROWED, seed)
    else:
        others = _another(data, source, root, seed).train.sample(BORROWED, seed)
    return _split(data, borrowed(net, data, others), seed)


def photographs(inputs: InputSpec, number: int, seed: int = 0) -> Pictures:
    """Random square crops of the two photographs that ship with scikit-learn, with no labels worth the name (all 0).

    That a few photographs can stand in for a data set is shown by Asano & Saeed 2023 ("Extrapolating from a single image").
    """
    from sklearn.datasets import load_sample_images

    photos = [torch.tensor(photo).permute(2, 0, 1)[None] for photo in load_sample_images().images]
    draw, crops = torch.Generator().manual_seed(seed), []
    for _ in range(number):
        photo = photos[int(torch.randint(len(photos), (1,), generator=draw))]
        longest = min(photo.shape[2:])
        least, most = (inputs.size, longest // 2) if inputs.size < longest // 2 else (longest // 2, longest)  # larger pictures are scaled up
        side = int(torch.randint(least, most + 1, (1,), generator=draw))
        top, left = (int(torch.randint(room - side + 1, (1,), generator=draw)) for room in photo.shape[2:])
        crops.append(_fitted(photo[:, :, top : top + side, left : left + side], inputs))
    return Pictures(torch.cat(crops), torch.zeros(number, dtype=torch.int64))


def borrowed(net: nn.Module, data: Data, others: Pictures) -> Pictures:
    """Pictures of another data set as the network takes them, with its predictions as labels, equally many of every class.

    Where few pictures are taken for a class, they are repeated. Raises WfvizError where none is taken for some class.
    """
    device = next(net.parameters()).device
    pixels = torch.cat([_fitted(others.take(i), data.inputs) for i in torch.arange(len(others)).split(512)])
    with torch.no_grad():
        labels = torch.cat([net(normalize(part.to(device), data.inputs)).argmax(1).cpu() for part in pixels.split(512)])
    counts = torch.bincount(labels, minlength=len(data.classes))
    if not counts.all():
        missing = ", ".join(data.classes[c] for c in (counts == 0).nonzero()[:, 0].tolist())
        raise WfvizError(f"the network takes none of these pictures for {missing}; learn from others")
    each = int(counts.float().mean())
    chosen = torch.cat([(labels == c).nonzero()[:, 0].repeat(-(-each // int(counts[c])))[:each] for c in range(len(data.classes))])
    return Pictures(pixels[chosen], labels[chosen])


def _fitted(pixels: Tensor, inputs: InputSpec) -> Tensor:
    """uint8 [B, c, s, s] as uint8 [B, channels, size, size] of the network: grey from colours (ITU-R 601), or repeated."""
    x = pixels.cpu().float()
    if x.shape[1] == 3 and inputs.channels == 1:
        x = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    x = x.expand(-1, inputs.channels, -1, -1)
    if x.shape[-1] != inputs.size:
        x = F.interpolate(x, size=(inputs.size, inputs.size), mode="bilinear", antialias=True, align_corners=False)
    return x.round().clamp(0, 255).to(torch.uint8)


def synthetic(
    net: nn.Module, inputs: InputSpec, n_classes: int, per_class: int, *, steps: int = 200, batch_size: int = 250, seed: int = 0,
    progress: Callable[[float], None] = lambda done: None,
) -> Pictures:
    """Pictures that the network takes for every class, made from noise by gradient descent on the pixels.

    The loss is that of DeepInversion (Yin et al. 2020, Eq. 2 to 4): cross-entropy, total variation, L2, and, where the
    network has BatchNorm, the distance of the batch's statistics from the running ones.
    """
    device, draw = next(net.parameters()).device, torch.Generator().manual_seed(seed)
    labels = torch.arange(n_classes).repeat_interleave(per_class)[torch.randperm(n_classes * per_class, generator=draw)]
    made, rounds = [], -(-len(labels) // batch_size)
    with _Statistics(net) as statistics:
        for number, y in enumerate(labels.split(batch_size)):
            x = (0.5 + 0.1 * torch.randn(len(y), inputs.channels, inputs.size, inputs.size, generator=draw)).to(device).requires_grad_(True)
            opt = torch.optim.Adam([x], lr=0.05)
            for step in range(steps):
                moved = torch.randint(-2, 3, (2,), generator=draw).tolist()  # a shifted picture shows the same
                statistics.distance = 0.0
                logits = net(normalize(255 * x.roll(moved, (2, 3)), inputs))
                rough = x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()
                loss = F.cross_entropy(logits, y.to(device)) + 0.5 * rough + 0.01 * (x**2).mean() + 0.1 * statistics.distance
                (x.grad,) = torch.autograd.grad(loss, x)
                opt.step()
                with torch.no_grad():
                    x.clamp_(0, 1)
                progress((number + (step + 1) / steps) / rounds)
            made.append((x.detach().cpu() * 255).round().to(torch.uint8))
    return Pictures(torch.cat(made), labels)


class _Statistics:
    """Adds up, over the BatchNorm layers of a forward pass, how far mean and variance are from the running ones."""

    def __init__(self, net: nn.Module):
        self.layers = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None]
        self.distance: Tensor | float = 0.0

    def __enter__(self) -> _Statistics:
        self.hooks = [layer.register_forward_pre_hook(self._add) for layer in self.layers]
        return self

    def __exit__(self, *_) -> None:
        for hook in self.hooks:
            hook.remove()

    def _add(self, layer: nn.BatchNorm2d, given: tuple[Tensor, ...]) -> None:
        z = given[0].float()  # bfloat16 where it is made under autocast
        mean, variance = z.mean((0, 2, 3)), z.var((0, 2, 3), unbiased=False)
        off = (mean - layer.running_mean).norm() + (variance - layer.running_var).norm()
        self.distance = self.distance + off / len(self.layers)


def _split(data: Data, pictures: Pictures, seed: int) -> Data:
    kept, held = hold_out(pictures.labels, seed)
    return replace(data, train=pictures.subset(kept), val=pictures.subset(held))

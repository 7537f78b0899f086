"""Pictures and labels: scikit-learn's digits, torchvision's MNIST and CIFAR, or any ImageFolder.

A data set is three splits. The test split is never trained or tuned on; where a data set has no
validation split of its own, one is held out of the training pictures with a fixed seed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wfviz.errors import WfvizError, nearest
from wfviz.pictures import open_picture, picture_to_uint8
from wfviz.plugins import checked_data, is_own
from wfviz.specs import InputSpec

VALIDATION = 0.1  # of the training pictures, at most 5,000
IN_MEMORY = 4 << 30  # bytes up to which an image folder is kept as one tensor
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm")

MNIST_STATISTICS = ((0.1307,), (0.3081,))
CIFAR_STATISTICS = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
IMAGENET_STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Pictures:
    """Pictures as one uint8 tensor [N, channels, size, size] and `labels` [N], on any device."""

    def __init__(self, pixels: Tensor, labels: Tensor):
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> Tensor:
        """uint8 [B, channels, size, size]."""
        return self.pixels[indices.to(self.pixels.device)]

    def to(self, device: torch.device) -> Pictures:
        return Pictures(self.pixels.to(device), self.labels.to(device))

    def subset(self, indices: Tensor) -> Pictures:
        indices = indices.to(self.pixels.device)
        return Pictures(self.pixels[indices], self.labels[indices])

    def sample(self, limit: int | None, seed: int = 0) -> Pictures:
        """All pictures, or `limit` random ones."""
        return self if limit is None or limit >= len(self) else self.subset(drawn(len(self), limit, seed))


def drawn(n: int, limit: int, seed: int = 0) -> Tensor:
    """Indices of `limit` random ones of n pictures, in their order; of all if there are no more."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:limit].sort().values


class FilePictures(Pictures):
    """Pictures that stay on disk and are decoded by a few threads when they are taken."""

    def __init__(self, files: list[Path], labels: Tensor, inputs: InputSpec, device: torch.device | str = "cpu"):
        self.files, self.labels, self.inputs, self.device = files, labels.to(device), inputs, device

    def take(self, indices: Tensor) -> Tensor:
        with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
            pictures = pool.map(lambda i: _read(self.files[i], self.inputs), indices.tolist())
            return torch.stack(list(pictures)).to(self.device)

    def to(self, device: torch.device) -> FilePictures:
        return FilePictures(self.files, self.labels, self.inputs, device)

    def subset(self, indices: Tensor) -> FilePictures:
        chosen = indices.tolist()
        return FilePictures([self.files[i] for i in chosen], self.labels[indices.to(self.labels.device)], self.inputs, self.device)


@dataclass(frozen=True)
class Data:
    """A data set: names of its classes, the picture a network for it takes, and the three splits."""

    name: str
    classes: tuple[str, ...]
    inputs: InputSpec
    train: Pictures
    val: Pictures
    test: Pictures
    flip: bool = False  # mirrored pictures show the same class
    shift: int = 0  # pixels by which augmentation may shift a picture

    def to(self, device: torch.device) -> Data:
        moved = {split: getattr(self, split).to(device) for split in ("train", "val", "test")}
        return Data(self.name, self.classes, self.inputs, **moved, flip=self.flip, shift=self.shift)

    def digest(self) -> str:
        """SHA-256 over the pixels (or file names and sizes) and labels of all splits."""
        sha = hashlib.sha256()
        for pictures in (self.train, self.val, self.test):
            if isinstance(pictures, FilePictures):
                for file in pictures.files:
                    sha.update(f"{file.parent.name}/{file.name}:{file.stat().st_size}\n".encode())
            else:
                sha.update(np.ascontiguousarray(pictures.pixels.cpu().numpy()))
            sha.update(pictures.labels.cpu().numpy())
        return sha.hexdigest()


_registry: dict[str, Callable[..., Data]] = {}


def dataset(name: str):
    """Register `make(root, seed, download) -> Data` under a name."""

    def register(make):
        _registry[name] = make
        return make

    return register


def names() -> tuple[str, ...]:
    return tuple(_registry)


def data_root(root: str | Path | None = None) -> Path:
    """torchvision's `root`: what is given, else $WFVIZ_DATA, else `data`."""
    return Path(root or os.environ.get("WFVIZ_DATA") or "data")


def load_data(
    name: str, root: str | Path | None = None, seed: int = 0, *, download: bool = True, size: int | None = None
) -> Data:
    """A data set by name, or a folder with `train/` and `val/` (or `test/`) in ImageFolder layout.

    root: see `data_root`. seed: of the validation split. size: pixels, for folders (else 224).
    Raises WfvizError where it is unknown, or neither there nor to be downloaded.
    """
    if name in _registry:
        make = _registry[name]
        return checked_data(make, name, data_root(root), seed, download) if is_own(make) else make(data_root(root), seed, download)
    try:
        found = bool(name) and Path(name).is_dir()
    except OSError:  # too long for a file name
        found = False
    if found:
        return _folder(Path(name), seed, size or 224)
    if os.sep in name or name.startswith("."):
        raise WfvizError(f"there is no folder {name}")
    raise WfvizError(nearest(name, names(), "data set") + " (a folder with train/ and val/ works as well)")


def limited(data: Data, pictures: int | None, seed: int) -> Data:
    """The data set with at most so many training pictures, for a first try on a slow machine."""
    return data if pictures is None else replace(data, train=data.train.sample(pictures, seed))


# --- forget set and retain set ------------------------------------------------------------------


def of_classes(pictures: Pictures, classes: tuple[int, ...]) -> Tensor:
    """bool [N]: whose label is among `classes`."""
    return torch.isin(pictures.labels, torch.tensor(classes, device=pictures.labels.device))


def forget_set(pictures: Pictures, forget: tuple[int, ...]) -> Pictures:
    """The pictures of the classes to forget."""
    return pictures.subset(of_classes(pictures, forget).nonzero()[:, 0])


def retain_set(pictures: Pictures, forget: tuple[int, ...]) -> Pictures:
    """All other pictures."""
    return pictures.subset((~of_classes(pictures, forget)).nonzero()[:, 0])


# --- the data sets ------------------------------------------------------------------------------


@dataset("digits")
def digits(root: Path, seed: int, download: bool) -> Data:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 px; a fifth of them is the test split, always the same."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    loaded = load_digits()
    pixels = torch.from_numpy((loaded.images * (255 / 16)).round().astype(np.uint8))[:, None]
    labels = torch.from_numpy(loaded.target.astype(np.int64))
    train, test = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=0, stratify=loaded.target)
    statistics = (0.3051,), (0.3757,)
    return _split(
        "digits", tuple("0123456789"), InputSpec(1, 8, *statistics),
        Pictures(pixels[train], labels[train]), Pictures(pixels[test], labels[test]), seed, shift=1,
    )


@dataset("mnist")
def mnist(root: Path, seed: int, download: bool) -> Data:
    from torchvision.datasets import MNIST

    train, test = _torchvision(MNIST, "MNIST", root / "MNIST" / "raw", root, download)
    splits = [Pictures(part.data[:, None].clone(), part.targets.clone()) for part in (train, test)]
    return _split("mnist", tuple("0123456789"), InputSpec(1, 28, *MNIST_STATISTICS), *splits, seed, shift=2)


def _cifar(name: str, folder: str):
    def make(root: Path, seed: int, download: bool) -> Data:
        from torchvision import datasets

        train, test = _torchvision(getattr(datasets, name.upper()), name.upper(), root / folder, root, download)
        splits = [
            Pictures(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
            for part in (train, test)
        ]
        return _split(
            name, tuple(train.classes), InputSpec(3, 32, *CIFAR_STATISTICS), *splits, seed, flip=True, shift=4
        )

    return make


dataset("cifar10")(_cifar("cifar10", "cifar-10-batches-py"))
dataset("cifar100")(_cifar("cifar100", "cifar-100-python"))


def _torchvision(kind, title: str, where: Path, root: Path, download: bool):
    """Both parts of a torchvision data set; downloaded, with torchvision's progress bar, if it is not there."""
    try:
        return kind(root, train=True, download=False), kind(root, train=False, download=False)
    except Exception:  # not there, or cut off: the readers raise what the damage suggests
        missing = f"{title} is not under {where}, or not whole"
    if not download:
        raise WfvizError(f"{missing}; any command with --dataset {title.lower()} downloads it, or set WFVIZ_DATA to where it is")
    with _taken_back_on_error(where, root / getattr(kind, "filename", "nothing")):
        try:
            return kind(root, train=True, download=True), kind(root, train=False, download=True)
        except Exception as error:  # torchvision raises what its mirrors do
            raise WfvizError(
                f"{missing} and could not be downloaded ({type(error).__name__}); "
                f"put torchvision's files there, or give --data-root (or WFVIZ_DATA)"
            ) from None


@contextmanager
def _taken_back_on_error(*paths: Path):
    """Whatever an unfinished download (Ctrl-C included) leaves at `paths` and was not there before is removed."""

    def present() -> list[Path]:
        inside = [p for path in paths for p in (path, *path.rglob("*"), *path.parents)]
        return sorted({p for p in inside if p.exists()}, key=lambda p: len(p.parts), reverse=True)

    before = set(present())
    try:
        yield
    except BaseException:
        for path in present():
            if path not in before and not path.is_dir():
                path.unlink(missing_ok=True)
            elif path not in before and not any(path.iterdir()):
                path.rmdir()
        raise


def _split(name, classes, inputs, train: Pictures, test: Pictures, seed: int, **more) -> Data:
    kept, held = hold_out(train.labels, seed)
    return Data(name, classes, inputs, train.subset(kept), train.subset(held), test, **more)


def hold_out(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of training and validation pictures, stratified by class, `VALIDATION` of them or at most 5,000."""
    from sklearn.model_selection import train_test_split

    numbers = labels.cpu().numpy()
    size = min(5000, int(len(numbers) * VALIDATION))
    fewest = np.bincount(numbers)[np.unique(numbers)].min()
    stratify = numbers if fewest >= 2 and size >= len(np.unique(numbers)) else None
    kept, held = train_test_split(np.arange(len(numbers)), test_size=max(size, 1), random_state=seed, stratify=stratify)
    return torch.from_numpy(np.sort(kept)), torch.from_numpy(np.sort(held))


# --- folders ------------------------------------------------------------------------------------


def _folder(root: Path, seed: int, size: int) -> Data:
    if not (root / "train").is_dir():
        raise WfvizError(f"{root} has no train/ folder; the layout is train/CLASS/picture.jpg and val/ or test/ alike")
    if not ((root / "val").is_dir() or (root / "test").is_dir()):
        raise WfvizError(f"{root} has neither a val/ nor a test/ folder beside train/")
    classes = tuple(sorted(p.name for p in _class_folders(root / "train")))
    if len(classes) < 2:
        raise WfvizError(f"{root / 'train'} needs at least two class folders, it has {len(classes)}")
    inputs = InputSpec(3, size, *IMAGENET_STATISTICS)
    parts = {part: _files(root / part, classes, inputs) for part in ("train", "val", "test") if (root / part).is_dir()}
    for index, there in enumerate(torch.bincount(parts["train"].labels, minlength=len(classes)).tolist()):
        if not there:
            raise WfvizError(f"{root / 'train' / classes[index]} holds no pictures")
    if "test" in parts and "val" in parts:
        return Data(root.name, classes, inputs, parts["train"], parts["val"], parts["test"], flip=True, shift=size // 8)
    test = parts.get("test") or parts["val"]
    return _split(root.name, classes, inputs, parts["train"], test, seed, flip=True, shift=size // 8)


def _class_folders(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]


def _files(folder: Path, classes: tuple[str, ...], inputs: InputSpec) -> Pictures:
    files, labels = [], []
    for found in sorted(p.name for p in _class_folders(folder)):
        if found not in classes:
            raise WfvizError(f"{folder}: {nearest(found, classes, 'class')}")
        inside = sorted(p for p in (folder / found).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        files += inside
        labels += [classes.index(found)] * len(inside)
    if not files:
        raise WfvizError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    pictures = FilePictures(files, torch.tensor(labels), inputs)
    if len(files) * inputs.channels * inputs.size**2 > IN_MEMORY:
        return pictures
    return Pictures(pictures.take(torch.arange(len(files))), pictures.labels)


def _read(file: Path, inputs: InputSpec) -> Tensor:
    try:
        return picture_to_uint8(open_picture(file.read_bytes()), inputs)
    except (OSError, WfvizError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise WfvizError(f"{file} cannot be read as a picture: {reason}") from None


# --- augmentation -------------------------------------------------------------------------------


def augment(pictures: Tensor, shift: int, flip: bool | Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A batch [B, C, S, S], every picture shifted by up to `shift` px (edges reflected) and mirrored if `flip`.

    flip: True mirrors at random, bool [B] those pictures. One gather for the whole batch; `generator` lives on the
    CPU, so that every device draws the same.
    """
    b, _, size, _ = pictures.shape
    draw = torch.randint(-shift, shift + 1, (2, b), generator=generator) if shift else torch.zeros(2, b, dtype=torch.long)
    if isinstance(flip, Tensor):
        mirror = flip
    else:
        mirror = torch.rand(b, generator=generator) < 0.5 if flip else torch.zeros(b, dtype=torch.bool)
    pixel = torch.arange(size)
    rows, columns = pixel + draw[0][:, None], pixel + draw[1][:, None]
    columns = torch.where(mirror[:, None], columns.flip(1), columns)
    rows, columns = (_reflect(index, size).to(pictures.device) for index in (rows, columns))
    batch = torch.arange(b, device=pictures.device)[:, None, None, None]
    channel = torch.arange(pictures.shape[1], device=pictures.device)[None, :, None, None]
    return pictures[batch, channel, rows[:, None, :, None], columns[:, None, None, :]]


def cut_out(x: Tensor, side: int, generator: torch.Generator | None = None) -> Tensor:
    """Normalised pictures [B, C, S, S], each with a square of `side` px at a random place set to the mean colour, which is 0.

    Its centre lies anywhere in the picture, so part of it may fall outside (Cutout; DeVries & Taylor 2017,
    arXiv:1708.04552, section 3.2). `generator` lives on the CPU, so that every device draws the same.
    """
    if side == 0:
        return x
    b, _, height, width = x.shape
    first = torch.stack([torch.randint(size, (b,), generator=generator) for size in (height, width)]) - side // 2
    rows, columns = (
        (pixel >= start[:, None]) & (pixel < start[:, None] + side)
        for pixel, start in zip((torch.arange(height), torch.arange(width)), first, strict=True)
    )
    inside = (rows[:, None, :, None] & columns[:, None, None, :]).to(x.device)
    return x.masked_fill(inside, 0.0)


def mirrored(indices: Tensor, epoch: int, seed: int) -> Tensor:
    """bool [B]: which pictures an epoch mirrors, every one in every other epoch (Jordan 2024, arXiv:2404.00498, section 3.6).

    Which half begins is drawn by `seed`.
    """
    mixed = (indices.cpu() * 2_654_435_761 + seed * 2_246_822_519) % 2**32  # Knuth's multiplicative hash
    return (mixed // 2**31 + epoch) % 2 == 1


def _reflect(index: Tensor, size: int) -> Tensor:
    """Indices outside [0, size) mirrored at the border: -1 -> 1, size -> size - 2."""
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)

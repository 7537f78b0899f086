"""The tables of Poppi et al. 2024 as commands of this project, one cell after the other.

Table 1 (Acc_r, Acc_f, ZRF, relearn time) is a comparison for every data set and backbone; Table 2 (insertion and
deletion) is the evaluation of a WF-Net around the same original. Every command can be interrupted and given again.
Those of Luijken & Peeters 2023 (`kga`) are one comparison for every data set and backbone.

ImageNet has a recipe of its own: the classifiers are timm's and torchvision's, and so large that the round is counted in
steps and the evaluation looks at a part of the validation pictures.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from wfviz.checkpoints import CARD, read_card
from wfviz.errors import WfvizError
from wfviz.runs import evaluations
from wfviz.untraining import begun

TABLES = ("table1", "table2")
DATASETS = ("mnist", "cifar10")
BACKBONES = ("vgg16", "resnet18", "vit_tiny", "vit_small")
PRESETS = ("default", "paper")
IMAGENET = ("resnet18", "resnet50", "resnet101", "vgg16", "vit_tiny", "vit_small")
FREEZE = ("0", "1", "12", "123")  # blocks of Luijken & Peeters 2023, Table 1
KGA_LR = "kga.lr=1e-4"  # of the stored comparisons; `kga` would look for a rate of its own for every network
METHODS = ("original", "retrain", "logit_mask", "wfnet", "wfnet_paper", "random_labels", "negative_gradient")


@dataclass(frozen=True)
class Step:
    """One command of a table. cell: "mnist-vgg16"; folder: where its result lies."""

    table: str
    cell: str
    folder: Path
    command: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(["python", "-m", "wfviz", *self.command])


def steps(tables: tuple[str, ...] = TABLES, cells: str = "*", seeds: tuple[int, ...] = (0,), root: Path = Path("runs")) -> list[Step]:
    """The commands of the tables, in the order in which they have to run. cells: a shell-style pattern of "mnist-vgg16", ..."""
    found = [step for dataset in DATASETS for backbone in BACKBONES if fnmatchcase(f"{dataset}-{backbone}", cells)
             for table in tables for step in _cell(table, dataset, backbone, seeds, root)]
    if not found:
        known = ", ".join(f"{d}-{b}" for d in DATASETS for b in BACKBONES)
        raise WfvizError(f"no cell is called {cells!r}; there are {known}")
    return found


def _cell(table: str, dataset: str, backbone: str, seeds: tuple[int, ...], root: Path) -> Iterator[Step]:
    cell, what = f"{dataset}-{backbone}", ("--dataset", dataset, "--backbone", backbone)
    original = root / f"{cell}-original"
    yield Step(table, cell, original, ("pretrain", *what, "--out", str(original)))
    if table == "table1":
        folder = root / f"{cell}-table1"
        yield Step(table, cell, folder, ("compare", *what, "--from", str(original), "--methods", ",".join(METHODS),
                                         "--seeds", ",".join(map(str, seeds)), "--out", str(folder)))
        return
    for preset in PRESETS:
        for seed in seeds:
            folder = root / f"{cell}-{preset}-{seed}"
            yield Step(table, cell, folder, ("untrain", *what, "--from", str(original), "--preset", preset, "--seed", str(seed), "--out", str(folder)))


def imagenet(pictures: Path, cells: str = "*", seeds: tuple[int, ...] = (0,), root: Path = Path("runs")) -> list[Step]:
    """The commands for ImageNet-1k in ImageFolder layout, with `train` and `val`: one round of 10,000 steps a network."""
    chosen = [name for name in IMAGENET if fnmatchcase(f"imagenet-{name}", cells)]
    if not chosen:
        raise WfvizError(f"no cell is called {cells!r}; there are {', '.join(f'imagenet-{name}' for name in IMAGENET)}")
    found = []
    for name in chosen:
        for seed in seeds:
            folder = root / f"imagenet-{name}-{seed}"
            what = ("--dataset", str(pictures), "--backbone", name, "--image-size", "224", "--pretrained", "--seed", str(seed), "--out", str(folder))
            found.append(Step("imagenet", f"imagenet-{name}", folder, ("untrain", *what, "--batch-size", "256", "--steps", "10000", "--no-evaluate")))
            found.append(Step("imagenet", f"imagenet-{name}", folder, ("evaluate", str(folder), "--limit", "2000", "--curves", "0")))
    return found


def kga(cells: str = "*", seeds: tuple[int, ...] = (0,), root: Path = Path("runs")) -> list[Step]:
    """The commands behind tables 2 to 5 of Luijken & Peeters 2023, for classes: every freeze set, with their settings and with ours."""
    there = [(dataset, backbone) for dataset in ("cifar10", "cifar100") for backbone in ("resnet18", "vgg11")]
    chosen = [cell for cell in there if fnmatchcase("-".join(cell), cells)]
    if not chosen:
        raise WfvizError(f"no cell is called {cells!r}; there are {', '.join(map('-'.join, there))}")
    variants = [f"{name}.freeze={freeze}" for name in ("kga_seed", "kga") for freeze in FREEZE]
    found = []
    for dataset, backbone in chosen:
        cell, what = f"{dataset}-{backbone}", ("--dataset", dataset, "--backbone", backbone)
        original, folder = root / f"{cell}-original", root / f"{cell}-kga"
        found.append(Step("kga", cell, original, ("pretrain", *what, "--out", str(original))))
        found.append(Step("kga", cell, folder, ("compare", *what, "--from", str(original), "--methods", ",".join(("original", "retrain", *variants)),
                                                "--set", KGA_LR, "--seeds", ",".join(map(str, seeds)), "--out", str(folder))))
    return found


def todo(step: Step) -> list[tuple[str, ...]]:
    """What is to be given now: the command as it stands, with --resume, what is left of it, or nothing where it is done."""
    if step.command[0] == "compare":  # finished rows are kept, and a table may get more seeds
        return [(*step.command, "--resume")]
    if any(step.folder.glob("*training.safetensors")):
        return [(*step.command, "--resume")]
    card = read_card(step.folder) if (step.folder / CARD).exists() else {}
    if step.command[0] == "evaluate":
        return [] if card.get("metrics") else [step.command]
    if step.command[0] == "untrain" and begun(step.folder):  # it was ended before its first step was kept
        return [(*step.command, "--resume")]
    if step.command[0] == "untrain" and card and "--no-evaluate" not in step.command and not {"test", "train"} <= set(card.get("metrics") or {}):
        return [tuple(command) for command in evaluations(step.command, step.folder)]
    return [] if card else [step.command]

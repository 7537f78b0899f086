"""Relearn time: how soon a network knows again what it has forgotten."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from wfviz.data import Data, Pictures, of_classes
from wfviz.errors import WfvizError
from wfviz.pictures import normalize
from wfviz.pretraining import accuracy_of
from wfviz.specs import InputSpec
from wfviz.training import generator

ROUNDING = 1e-6  # by which a goal that was computed in single precision may lie above the same accuracy; less than a picture
SAMPLES, BATCH = 500, 128  # pictures of an epoch and of a step
RATES = (1e-3, 1e-4, 1e-5)
TRIED, FEWEST = 1_000, 100  # validation pictures by which a rate is chosen; fewer than the latter do not tell 0.05 from nothing
HARMLESS = 0.05  # accuracy that an epoch may cost a network that has nothing to relearn
STREAM = 31  # of the draws of `training.generator`: no other loop draws from it


@dataclass(frozen=True)
class Relearning:
    """epochs: first epoch after which the goal is reached, 0 where it always was, None: not within the limit.

    accuracy: in [0, 1] on the forgotten classes, before any epoch and after each that was taken.
    goal: the accuracy that ends it, usually the original network's.
    """

    epochs: int | None
    accuracy: tuple[float, ...]
    goal: float


def relearn(
    model: nn.Module,
    pictures: Pictures,
    judged: Pictures,
    forget: tuple[int, ...],
    inputs: InputSpec,
    *,
    goal: float,
    epochs: int = 100,
    samples: int = SAMPLES,
    lr: float = RATES[0],
    batch_size: int = BATCH,
    seed: int = 0,
    progress: Callable[[float], None] = lambda part: None,
) -> Relearning:
    """Train a copy of `model` until the forgotten classes are recognised as well as `goal`; `model` stays as it is.

    Poppi et al. 2024, "Relearn Time": every epoch is 500 random pictures of the whole training split, at most 100
    epochs. More epochs mean deeper forgetting; the ideal is the retrained network's number, and never (None) is
    the most. The paper leaves open the optimiser, the rate, the batch size and what the accuracy is taken on: here
    Adam on all parameters, cross-entropy, batches of 128, a fresh draw without repetition every epoch,
    normalisation and dropout in eval mode, and accuracy on `judged` (by convention test pictures of the class).
    A logit that was set to an enormous constant cannot be relearned at any such rate though nothing is forgotten
    inside: read the number beside the probe's.

    pictures: training pictures of all classes. judged: of which only those of `forget` count. lr: Adam's, see
    `harmless_rate`. progress: the part done.
    Raises WfvizError where either has no picture of the forgotten classes.
    """
    if not of_classes(pictures, forget).any():
        raise WfvizError("a class without training pictures cannot be relearned")
    device = next(model.parameters()).device
    judged = judged.subset(of_classes(judged, forget).nonzero()[:, 0]).to(device)
    if not len(judged):
        raise WfvizError("without pictures of the forgotten class its relearning cannot be judged")
    net, opt = _learner(model, lr)
    accuracy = [accuracy_of(net, judged, inputs)]
    while not _reached(accuracy[-1], goal) and len(accuracy) <= epochs:
        _epoch(net, opt, pictures, inputs, samples, batch_size, seed, len(accuracy))
        accuracy.append(accuracy_of(net, judged, inputs))
        progress((len(accuracy) - 1) / epochs)
    progress(1.0)
    return Relearning(len(accuracy) - 1 if _reached(accuracy[-1], goal) else None, tuple(accuracy), goal)


def harmless_rate(original: nn.Module, data: Data, seed: int = 0) -> float:
    """The largest of 1e-3, 1e-4 and 1e-5 at which one epoch costs `original` at most 0.05 of its accuracy; 1e-5 if none.

    At a larger one a network is destroyed before it learns: its relearn time says nothing about what it had forgotten, and
    what is unlearned at it takes the rest along (docs/untraining.md, section 2). Judged on 1,000 validation pictures, on training
    pictures where those are fewer than 100.
    """
    judged = (data.val if len(data.val) >= FEWEST else data.train).sample(TRIED, seed)
    least = accuracy_of(original, judged, data.inputs) - HARMLESS
    return next((lr for lr in RATES[:-1] if after_an_epoch(original, lr, data.train, judged, data.inputs, seed) >= least), RATES[-1])


def after_an_epoch(original: nn.Module, lr: float, pictures: Pictures, judged: Pictures, inputs: InputSpec, seed: int = 0) -> float:
    """Accuracy in [0, 1] on `judged` after one epoch of `relearn` at a rate; `original` stays as it is."""
    net, opt = _learner(original, lr)
    _epoch(net, opt, pictures, inputs, SAMPLES, BATCH, seed, 1)
    return accuracy_of(net, judged, inputs)


def _learner(model: nn.Module, lr: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A copy that can be trained."""
    net = copy.deepcopy(model).eval().requires_grad_(True).to(memory_format=torch.channels_last)  # 1.4 times as fast for a ResNet-18
    return net, torch.optim.Adam(net.parameters(), lr=lr)


def _reached(accuracy: float, goal: float) -> bool:
    return accuracy >= goal - ROUNDING


def _epoch(net: nn.Module, opt: torch.optim.Optimizer, pictures: Pictures, inputs: InputSpec, samples: int, batch_size: int, seed: int, epoch: int) -> None:
    """One pass over `samples` random pictures."""
    device = next(net.parameters()).device
    drawn = torch.randperm(len(pictures), generator=generator(seed, epoch, STREAM))[:samples]
    for indices in drawn.split(batch_size):
        x, y = normalize(pictures.take(indices), inputs).to(device), pictures.labels[indices.to(pictures.labels.device)].to(device)
        opt.zero_grad()
        F.cross_entropy(net(x), y).backward()
        opt.step()

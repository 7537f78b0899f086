"""What a run is made of, as frozen dataclasses: they travel into cards, logs and command lines."""

from __future__ import annotations

import hashlib
import json
import types
import typing
from dataclasses import asdict, dataclass, fields, replace

from wfviz.errors import WfvizError, nearest


class Spec:
    """To and from plain dictionaries, and a digest that names the content."""

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict):
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise WfvizError(nearest(key, known, f"{cls.__name__} field"))
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        for key, hint in typing.get_type_hints(cls).items():
            if key in values and not _fits(values[key], hint):
                raise WfvizError(f"{cls.__name__}: {key} is {values[key]!r}, which it cannot be")
        try:
            return cls(**values)
        except TypeError as error:
            raise WfvizError(f"{cls.__name__} is incomplete: {error}") from None

    def digest(self) -> str:
        """SHA-256 of the content, 64 hexadecimal digits."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _fits(value: object, hint: object) -> bool:
    """Whether a value out of a file is of the type that a field of a spec is declared with."""
    if isinstance(hint, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(_fits(v, typing.get_args(hint)[0]) for v in value)
    return type(value) in ((int, float) if hint is float else (hint,))


@dataclass(frozen=True)
class InputSpec(Spec):
    """The picture a network takes: `channels` x `size` x `size`, scaled to [0, 1], then (x - mean) / std."""

    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self):
        if not (0 < self.channels == len(self.mean) == len(self.std) and self.size > 0 and all(self.std)):
            raise WfvizError(f"InputSpec: a mean and a std other than 0 for each of {self.channels} channel(s), and a size over 0")


@dataclass(frozen=True)
class BackboneSpec(Spec):
    """Which classifier, for which pictures; `pretrained` asks timm or torchvision for its weights."""

    name: str
    n_classes: int
    channels: int
    size: int
    pretrained: bool = False


@dataclass(frozen=True)
class PretrainSpec(Spec):
    """Ordinary training of the classifier. `None` is filled in by the backbone's own recipe."""

    epochs: int | None = None
    batch_size: int = 128
    optimizer: str | None = None  # sgd (Nesterov momentum 0.9), muon (filters or matrices) or adamw
    lr: float | None = None  # peak of a one-cycle schedule
    rest_lr: float | None = None  # peak for what muon leaves to SGD in a CNN: norms, biases, the last layer; None: as lr
    weight_decay: float | None = None
    label_smoothing: float = 0.1
    sizes: tuple[int, ...] = ()  # px in equal parts of the epochs, small ones first: faster; (): the whole size throughout
    cutout: int = 0  # px of a square in every picture that is hidden, other ones every time (`cut_out` in `wfviz/data.py`)
    skip_easy: float = 0.0  # part of the pictures with a loss below the mean that a batch leaves out (`wfviz/skipping.py`), in [0, 1)
    patch_drop: float = 0.0  # part of the patches that a ViT is not shown while it learns, other ones every time, in [0, 1)
    precision: str = "auto"  # auto (bf16 on a GPU that has it), no, bf16, fp16
    seed: int = 0

    def filled(self, **recipe) -> PretrainSpec:
        """The same spec with every `None` taken from `recipe`."""
        return replace(self, **{k: v for k, v in recipe.items() if getattr(self, k) is None})


@dataclass(frozen=True)
class UntrainSpec(Spec):
    """Learning of α; the losses are in `wfviz/objective.py`.

    The defaults are the preset `default`; `deep` also works on the features (`wfviz/deep.py`), and `UntrainSpec.preset("paper")` holds the settings of
    Poppi et al. 2024, section "Implementation and Training Details".
    """

    name: str = "default"
    steps: int = 600  # optimiser steps at most; `epochs` overrides it
    epochs: float | None = None
    batch_size: int = 128  # half of it forgets, half of it is retained
    optimizer: str = "adam"
    lr: float = 0.1
    schedule: str = "cosine"  # cosine (to zero) or constant
    lambda_retain: float = 1.0  # λ0
    lambda_forget: float = 1.0  # λ1
    lambda_gates: float = 1.0  # λ2
    lambda_middle: float = 0.0  # λ3, against gates that are neither open nor closed
    lambda_features: float = 0.0  # λ4, against features that tell the forgotten class; every step then takes one class
    forget_loss: str = "reciprocal"  # reciprocal, unlikelihood or teacher
    retain_loss: str = "labels"  # labels or teacher
    epsilon: float = 0.1  # in 1 / (CE_i + ε)
    expansion: int = 3  # χ, rows drawn for every retained picture
    alpha_start: float = 3.0  # sigmoid(3) = 0.95
    evaluate_every: int = 50  # steps between validations; 0: five times an epoch
    patience: int = 0  # validations without progress before it stops; 0: never
    layers: tuple[str, ...] | None = None  # name patterns; None: chosen by the backbone
    learn_from: str = "train"  # or val, synthetic, or another data set: `wfviz/substitutes.py`
    precision: str = "auto"
    seed: int = 0

    @classmethod
    def preset(cls, name: str, **changes) -> UntrainSpec:
        """A preset by name, with single fields changed."""
        if name not in PRESETS:
            raise WfvizError(nearest(name, PRESETS, "preset"))
        return replace(cls(), name=name, **{**PRESETS[name], **changes})


PRESETS: dict[str, dict] = {
    "default": {},
    "deep": {
        "lambda_features": 3.0,
        "lambda_retain": 10.0,
        "lambda_forget": 10.0,
        "lambda_middle": 0.3,
        "forget_loss": "teacher",
        "retain_loss": "teacher",
        "lr": 0.2,
    },
    "paper": {
        "epochs": 20.0,
        "optimizer": "sgd",
        "lr": 100.0,
        "schedule": "constant",
        "lambda_forget": 10.0,  # 100 for ViTs: `untraining.spec_for` raises it
        "epsilon": 1e-4,  # the paper has none; a memorised sample then divides by zero
        "evaluate_every": 0,
        "patience": 10,
    },
}

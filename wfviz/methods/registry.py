"""The registry of unlearning methods, and what a method is told.

A method of your own is one function in a file of your own:

    from wfviz.methods import method

    @method("forget_gently", "Forget gently", source="our paper, Eq. 2", lr=1e-3, steps=100)
    def unlearn(model, forget, data, spec, progress):
        ...                      # change `model` in place or make another of the same architecture
        return model

`python -m wfviz compare --plugin file.py --methods forget_gently,...` then runs it beside the others. With `lr=0.0` the rate is
found for every network: the largest of 1e-3, 1e-4 and 1e-5 that the original survives (`metrics.relearning.harmless_rate`).
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch
from torch import nn

from wfviz import plugins
from wfviz.data import Data, forget_set, of_classes, retain_set  # noqa: F401  (methods take the sets from here)
from wfviz.errors import WfvizError, nearest
from wfviz.metrics.relearning import harmless_rate
from wfviz.specs import BackboneSpec, PretrainSpec

Progress = Callable[[float], None]  # called now and then with the part that is done, from 0 to 1


@dataclass(frozen=True)
class MethodSpec:
    """What one run of a method is made of. A setting is read as an attribute: `spec.lr`.

    backbone: how an untrained network of the same architecture is built; methods that train one need it.
    pretraining: how the original was trained, where that is known.
    folder: where a method that takes long may keep what it has done, to go on from there; None: nowhere.
    """

    method: str
    settings: dict = field(default_factory=dict)
    seed: int = 0
    backbone: BackboneSpec | None = None
    pretraining: PretrainSpec | None = None
    folder: Path | None = None

    def __getattr__(self, name: str):
        try:
            return self.__dict__["settings"][name]
        except KeyError:
            raise AttributeError(f"{self.__dict__.get('method')} has no setting {name!r}") from None

    def digest(self) -> str:
        """SHA-256 of method, settings and seed, 64 hexadecimal digits."""
        text = json.dumps([self.method, self.settings, self.seed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Method:
    """A registered method.

    unlearn(model, forget, data, spec, progress) -> nn.Module: `model` is a copy of the original network, in eval
        mode, that may be changed; `forget` a tuple of classes; `data` stays as it is, and its test split is never looked at.
        What comes back has the original's architecture, so that layers can be compared.
    once(model, data, spec, progress): for methods that prepare all classes in one round; what it returns takes
        the place of `model` in `unlearn`.
    took(prepared): seconds that this took where it was made before, else None.
    stored(model, data): bytes that must be kept for every class that can be forgotten; None: a whole network.
    """

    name: str
    title: str
    source: str
    unlearn: Callable[..., nn.Module]
    settings: dict
    once: Callable | None = None
    stored: Callable[[nn.Module, Data], int] | None = None
    reference: bool = False  # stands in the table to compare with: original, retrain, logit_mask
    relearns: bool = True  # False where relearning says nothing, as what was done is lifted at once
    took: Callable[[object], float | None] | None = None
    depends: Callable[[MethodSpec], str] | None = None  # what a result depends on beside the settings: rows are cached by it

    @property
    def text(self) -> str:
        """The source of the method's own functions, as far as it can be read: a method that was rewritten is another one.

        Of a plugin the whole file, and what that imports from beside it: what its functions call lies there as well.
        """
        found = ""
        for function in (self.unlearn, self.once):
            with suppress(OSError, TypeError):  # typed in by hand; no function, but something that can be called
                found += plugins.source_of(function) or inspect.getsource(function)
        return found

    def spec(self, seed: int = 0, backbone: BackboneSpec | None = None, pretraining: PretrainSpec | None = None, /, **changes) -> MethodSpec:
        """The method's settings with some of them changed; WfvizError names the nearest of those there are, and says what a value has to be."""
        changes = {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}
        for key, value in changes.items():
            if key not in self.settings:
                raise WfvizError(nearest(key, self.settings, f"setting of {self.name}") if self.settings else f"{self.name} has no settings")
            if not isinstance(value, type(self.settings[key])) and not (isinstance(self.settings[key], float) and type(value) is int):
                raise WfvizError(f"{key} of {self.name} is {value!r}; it has to be like {self.settings[key]!r}")
            if not _possible(key, value) or (value == () and self.settings[key]):
                raise WfvizError(f"{key} of {self.name} cannot be {list(value) if isinstance(value, tuple) else value}; the default is {self.settings[key]!r}")
        return MethodSpec(self.name, {**self.settings, **changes}, seed, backbone, pretraining)

    def settled(self, spec: MethodSpec, rate: Callable[[], float]) -> MethodSpec:
        """`spec` with `rate()` where it leaves its learning rate open, by 0; that of RUM is then its inner method's, if that has one."""
        is_open = False
        with suppress(WfvizError):  # an inner method that is not there
            is_open = spec.settings.get("lr") == 0 and get(spec.settings.get("inner", spec.method)).settings.get("lr") == 0
        return replace(spec, settings={**spec.settings, "lr": rate()}) if is_open else spec

    @torch.random.fork_rng(devices=())
    def prepare(self, model: nn.Module, data: Data, spec: MethodSpec, progress: Progress = lambda part: None) -> object:
        """What `once` makes for all classes, for `run(..., prepared=...)`; None where there is nothing to prepare."""
        torch.manual_seed(spec.seed)
        with _unchanged(data, self.name):
            return self.once(_trainable(model), data, spec, progress) if self.once else None

    @torch.random.fork_rng(devices=())  # the draws of whoever calls go on where they were
    def run(
        self, model: nn.Module, forget: tuple[int, ...], data: Data, spec: MethodSpec,
        progress: Progress = lambda part: None, prepared: object = None,
    ) -> nn.Module:
        """A network that has forgotten `forget`, in eval mode; `model` stays as it is.

        Raises WfvizError for classes that are not there, or that leave nothing to retain.
        """
        check_forget(forget, data)
        spec = self.settled(spec, lambda: harmless_rate(model, data))
        if self.once and prepared is None:
            prepared = self.prepare(model, data, spec, progress)
        torch.manual_seed(spec.seed)
        start = _trainable(model) if prepared is None else prepared
        with _unchanged(data, self.name):
            after = self.unlearn(start, tuple(forget), data, spec, progress)
        if not isinstance(after, nn.Module):
            raise WfvizError(f"{self.name} returned {type(after).__name__}; it has to return the network")
        return after.eval().requires_grad_(False)


def _possible(key: str, value: object) -> bool:
    """Numbers are finite, and what counts steps, epochs or pictures, or is a rate, is not negative."""
    if isinstance(value, tuple | list):
        return all(_possible(key, one) for one in value)
    if not isinstance(value, int | float):
        return True
    return math.isfinite(value) and (value >= 0 or not key.endswith(("steps", "epochs", "batch", "batch_size", "lr")))


class DataChanged(WfvizError):
    """A method has changed the pictures that all methods share."""


@contextmanager
def _unchanged(data: Data, name: str) -> Iterator[None]:
    """Raises DataChanged if the pictures or labels are written to meanwhile."""
    def versions() -> list[int]:
        splits = (data.train, data.val, data.test)
        return [t._version for split in splits for t in (getattr(split, "pixels", None), split.labels) if t is not None and not t.is_inference()]

    before = versions()
    yield
    if versions() != before:
        raise DataChanged(f"{name} changed the pictures or labels that it was given; have it work on a clone")


def _trainable(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).eval().requires_grad_(True).to(memory_format=torch.channels_last)  # up to twice as fast


_registry: dict[str, Method] = {}


def method(
    name: str, title: str, *, source: str, once=None, took=None, stored=None, reference: bool = False, relearns: bool = True, depends=None, **settings
):
    """Register `unlearn(model, forget, data, spec, progress)` under a name; further keywords are its settings."""

    if wrong := sorted({*settings} & {*(f.name for f in fields(MethodSpec)), "digest"}):
        raise WfvizError(f"a setting of {name} cannot be called {wrong[0]}: that is the run's own; choose another name")
    if type(settings.get("lr")) is int:
        settings["lr"] = float(settings["lr"])
    try:
        json.dumps(settings)
    except TypeError as error:
        raise WfvizError(f"settings of {name} are numbers, texts, true or false, and lists of these: {error}") from None

    def register(unlearn):
        _registry[name] = Method(name, title, source, unlearn, settings, once, stored, reference, relearns, took, depends)
        return unlearn

    return register


def names() -> tuple[str, ...]:
    """The registered names, in the order of registration: the references first."""
    return tuple(_registry)


def get(name: str) -> Method:
    """A method by name, or a variant of one: "kga.freeze=12" has one setting changed. WfvizError names the nearest."""
    if name in _registry:
        return _registry[name]
    base = name.partition(".")[0]
    if base not in _registry:
        raise WfvizError(nearest(base, _registry, "method"))
    one, (_, changes) = _registry[base], setting(name)
    (key, value), = changes.items()
    return replace(one, name=name, title=f"{one.title}, {key} {value}", settings=one.spec(**changes).settings)


def setting(text: str) -> tuple[str, dict]:
    """("retrain", {"epochs": 4}) of "retrain.epochs=4"; a value is read as JSON, and as it stands where the setting is a text."""
    name, equals, value = text.partition("=")
    base, point, key = name.partition(".")
    if not (equals and point and base and key):
        raise WfvizError(f"a setting is written METHOD.SETTING=VALUE, such as retrain.epochs=4, not {text!r}")
    if base in _registry and isinstance(_registry[base].settings.get(key), str):
        return base, {key: value}
    try:
        return base, {key: json.loads(value)}
    except ValueError:
        return base, {key: value}


# --- forget set and retain set ------------------------------------------------------------------


def check_forget(forget: tuple[int, ...], data: Data) -> None:
    """WfvizError, in one sentence, for a forget set that cannot be."""
    n = len(data.classes)
    if not forget:
        raise WfvizError("there is no class to forget; name at least one")
    for c in forget:
        if not 0 <= c < n:
            raise WfvizError(f"class {c} is out of range; {data.name} has classes 0 to {n - 1}")
        if not (data.train.labels == c).any():
            raise WfvizError(f"class {data.classes[c]} has no training pictures in {data.name}")
    if len(set(forget)) >= n:
        raise WfvizError("all classes would be forgotten; at least one has to be retained")
    if not len(retain_set(data.train, forget)):
        raise WfvizError(f"without {', '.join(data.classes[c] for c in forget)} no training pictures are left to retain")

"""Files of one's own that register what the package does not know: networks, methods, data sets.

    from wfviz.backbones import backbone

    @backbone("mine", optimizer="adamw", lr=1e-3, layers=("conv*",))    # fields of `backbones.Recipe`
    def mine(spec):
        net = MyNetwork(spec.n_classes, spec.channels, spec.size)
        if spec.pretrained:                                             # trained weights belong here and nowhere else
            net.load_state_dict(...)
        return net

`python -m wfviz untrain --plugin mine.py --backbone mine ...` then knows it like any other, and with
`WFVIZ_PLUGINS=mine.py` in the environment every command and the dashboard do. Methods: `methods.method`, data sets: `data.dataset`.
"""

from __future__ import annotations

import inspect
import os
import re
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wfviz.errors import WfvizError

if TYPE_CHECKING:
    from torch import nn

    from wfviz.data import Data
    from wfviz.specs import BackboneSpec

VARIABLE = "WFVIZ_PLUGINS"
PACKAGE = Path(__file__).resolve().parent

_texts: dict[str, str] = {}  # by file: its text, and that of what it imported from beside it
_names: dict[str, set[str]] = {}  # by file, as it was given: what it registered


def load(path: str | Path) -> tuple[str, ...]:
    """Run a Python file that registers something; returns the names. It is your own code: nothing guards it.

    It may import what lies beside it. Raises WfvizError where it cannot be run, registers nothing, or a name that is taken.
    """
    from wfviz import backbones, data, methods

    if not Path(path).is_file():
        raise WfvizError(f"there is no file {path}")
    registries = (backbones._registry, data._registry, methods.registry._registry)
    before = [dict(registry) for registry in registries]
    _texts[str(Path(path).resolve())] = _run(path)
    found = []
    for registry, old in zip(registries, before, strict=True):
        for name in [name for name, one in registry.items() if old.get(name) is not one]:
            if name in old and _file(old[name]) != _file(registry[name]):
                registry.update(old)
                raise WfvizError(f"{path} registers {name!r}, which is there already; choose another name")
            found.append(name)
    if not found:
        raise WfvizError(f"{path} registers nothing; decorate a function with wfviz.backbones.backbone, wfviz.methods.method or wfviz.data.dataset")
    for names in _names.values():
        names -= set(found)  # of a file that was loaded before under another name
    _names[str(path)] = set(found)
    return tuple(found)


def from_environment() -> tuple[str, ...]:
    """Load the files that $WFVIZ_PLUGINS names, separated as in $PATH; returns what they register."""
    try:
        return tuple(name for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path for name in load(Path(path).expanduser()))
    except WfvizError as error:
        raise WfvizError(f"${VARIABLE}: {error}") from None


def needed(argv: Sequence[str]) -> list[str]:
    """`--plugin FILE` for what a command line relies on and does not name: it came by the environment."""
    words = set(re.split(r"[\s,=.]+", " ".join(argv)))
    files = [file for file, names in _names.items() if (names & words or "all" in words) and not any(file in word for word in argv)]
    return [word for file in files for word in ("--plugin", file)]


def is_own(function: Callable) -> bool:
    """Whether a function was registered from outside the package."""
    file = _file(function)
    return file is not None and PACKAGE not in file.parents


def source_of(function: Callable) -> str:
    """The text of the file of one's own that holds a function, and of what it imported from beside it; "" for one of the package's."""
    if not is_own(function):
        return ""
    file = _file(function)
    return _texts.get(str(file)) or (file.read_text(encoding="utf-8") if file.is_file() else "")


def _run(path: str | Path) -> str:
    """Run it; returns its text and that of the modules it imported from its folder, which are its own and no other file's."""
    folder, known = Path(path).resolve().parent, set(sys.modules)
    sys.path.insert(0, str(folder))
    keeps, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a helper that was written again within a second is read again
    try:
        runpy.run_path(str(path))
    except WfvizError as error:
        raise WfvizError(f"{path}: {error}") from None
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f" (line {lines[-1]})" if lines else ""
        raise WfvizError(f"{path} cannot be run: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}{where}") from None
    finally:
        sys.dont_write_bytecode = keeps
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # what a function imports when it is called
        files = {name: Path(getattr(sys.modules[name], "__file__", None) or "") for name in set(sys.modules) - known}
        beside = {name: file for name, file in files.items() if folder in file.parents and "site-packages" not in file.parts}
        for name in beside:
            del sys.modules[name]
    return "".join(file.read_text(encoding="utf-8") for file in (Path(path), *sorted(beside.values())) if file.suffix == ".py")


def _file(registered: object) -> Path | None:
    """The file that holds what was registered: a Recipe, a Method, or a function."""
    function = getattr(registered, "make", None) or getattr(registered, "unlearn", None) or registered
    try:
        return Path(inspect.getfile(inspect.unwrap(function))).resolve()
    except TypeError:  # typed in by hand, or something that can be called
        return None


# --- what they make ------------------------------------------------------------------------------


def checked_network(make: Callable[[BackboneSpec], nn.Module], spec: BackboneSpec) -> nn.Module:
    """A network of somebody's own, if it takes pictures and answers with logits."""
    import torch

    try:
        net = make(spec)
        if not isinstance(net, torch.nn.Module):
            raise WfvizError(f"what makes {spec.name} returned {type(net).__name__}, not a network")
        with torch.no_grad():
            logits = net.eval()(torch.zeros(1, spec.channels, spec.size, spec.size))
        net.train()
    except WfvizError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else ""
        raise WfvizError(f"{spec.name} cannot be built for {spec.channels} x {spec.size} x {spec.size} pictures: {type(error).__name__}: {reason}") from None
    found = list(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if found != [1, spec.n_classes]:
        raise WfvizError(f"{spec.name} answers one picture with {found}, not with logits [1, {spec.n_classes}]")
    return net


def checked_data(make: Callable[..., Data], name: str, *how) -> Data:
    """A data set of somebody's own, if it is one."""
    import torch

    from wfviz.data import Data

    try:
        data = make(*how)
    except WfvizError:
        raise
    except Exception as error:
        raise WfvizError(f"{name} cannot be read: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from None
    if not isinstance(data, Data):
        raise WfvizError(f"what makes {name} returned {type(data).__name__}, not wfviz.data.Data")
    shape = [data.inputs.channels, data.inputs.size, data.inputs.size]
    for split in ("train", "val", "test"):
        one = getattr(data, split)
        labels, pixels = one.labels, getattr(one, "pixels", None)
        if not len(labels):
            raise WfvizError(f"{name} has no {split} pictures; wfviz.data.hold_out takes some from others")
        if labels.dtype != torch.int64 or labels.min() < 0 or labels.max() >= len(data.classes):
            raise WfvizError(f"labels of {name} ({split}) are int64 from 0 to {len(data.classes) - 1}, not {labels.dtype} from {labels.min()} to {labels.max()}")
        if pixels is not None and (pixels.dtype != torch.uint8 or list(pixels.shape) != [len(labels), *shape]):
            raise WfvizError(f"pictures of {name} ({split}) are uint8 {[len(labels), *shape]}, not {pixels.dtype} {list(pixels.shape)}")
    return replace(data, classes=tuple(data.classes))

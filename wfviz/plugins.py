"""Files of one's own that register what the package does not know: networks, methods, data sets.

    from wfviz.backbones import backbone

    @backbone("mine", optimizer="adamw", lr=1e-3, layers=("conv*",))    # fields of `backbones.Recipe`
    def mine(spec):
        return MyNetwork(spec.n_classes, spec.channels, spec.size)

`python -m wfviz untrain --plugin mine.py --backbone mine ...` then knows it like any other, and with
`WFVIZ_PLUGINS=mine.py` in the environment every command and the dashboard do. Methods: `methods.method`, data sets: `data.dataset`.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from wfviz.errors import WfvizError

VARIABLE = "WFVIZ_PLUGINS"


def load(path: str | Path) -> tuple[str, ...]:
    """Run a Python file that registers something; returns the names. It is your own code: nothing guards it.

    It may import what lies beside it. Raises WfvizError where it cannot be run or registers nothing.
    """
    from wfviz import backbones, data, methods

    if not Path(path).is_file():
        raise WfvizError(f"there is no file {path}")
    registries = (backbones._registry, data._registry, methods.registry._registry)
    before = [dict(registry) for registry in registries]
    beside = str(Path(path).resolve().parent)
    if beside not in sys.path:
        sys.path.append(beside)
    try:
        runpy.run_path(str(path))
    except Exception as error:
        raise WfvizError(f"{path} cannot be run: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}") from None
    found = tuple(name for registry, old in zip(registries, before, strict=True) for name, one in registry.items() if old.get(name) is not one)
    if not found:
        raise WfvizError(f"{path} registers nothing; decorate a function with wfviz.methods.method or wfviz.backbones.backbone")
    return found


def from_environment() -> tuple[str, ...]:
    """Load the files that $WFVIZ_PLUGINS names, separated as in $PATH; returns what they register."""
    return tuple(name for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path for name in load(path))

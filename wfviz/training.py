"""What every training loop here shares: the accelerator, the log, stopping cleanly, going on again.

Batches, augmentation and draws depend on (seed, step) alone, so a run that was interrupted and resumed
takes the same steps as one that was not.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from wfviz.errors import WfvizError, nearest
from wfviz.files import write_atomically
from wfviz.muon import Muon

PRECISIONS = ("auto", "no", "bf16", "fp16")


def make_accelerator(device: str | None = None, precision: str = "auto") -> Accelerator:
    """Accelerate on `device` (cpu, cuda, ...; None: the best there is); `accelerate launch` adds processes."""
    if precision not in PRECISIONS:
        raise WfvizError(nearest(precision, PRECISIONS, "precision"))
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    try:
        wanted = torch.device(device).type if device else (here.type if here else "cpu")
    except RuntimeError:
        raise WfvizError(nearest(device, ("cpu", "cuda", "cuda:0", "mps", "xpu"), "device")) from None
    if wanted != "cpu" and (here is None or here.type != wanted):
        raise WfvizError(f"there is no {wanted} device here; leave --device out to use {here.type if here else 'the CPU'}")
    number = torch.device(device).index if device else None
    if wanted != "cpu" and number is not None:
        if number >= torch.accelerator.device_count():
            raise WfvizError(f"there is no {device} here; the {wanted} devices are numbered from 0 to {torch.accelerator.device_count() - 1}")
        torch.accelerator.set_device_index(number)  # where accelerate puts everything, but for `accelerate launch`
    if precision == "auto":
        precision = "bf16" if wanted == "cuda" and torch.cuda.is_bf16_supported() else "no"
    AcceleratorState._reset_state(reset_partial_state=False)  # one process may train with several precisions
    return Accelerator(mixed_precision=precision, cpu=wanted == "cpu")


OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "muon": Muon,
}


def optimizer(name: str, parameters: list, lr: float, weight_decay: float = 0.0) -> torch.optim.Optimizer:
    """One of `OPTIMIZERS` by name: sgd has no momentum, momentum is Nesterov's with 0.9, muon is the one for CNNs."""
    if name not in OPTIMIZERS:
        raise WfvizError(nearest(name, OPTIMIZERS, "optimizer"))
    return OPTIMIZERS[name](parameters, lr=lr, weight_decay=weight_decay)


def set_lr(opt: torch.optim.Optimizer, lr: float) -> None:
    """Every group gets lr, or "times" as much if it says so."""
    for group in opt.param_groups:
        group["lr"] = lr * group.get("times", 1)


def one_cycle(step: int, total: int, warm_up: float = 0.2) -> float:
    """Factor in (0, 1]: linear up over the first fifth of the steps, cosine down over the rest."""
    rise = max(1, round(total * warm_up))
    if step < rise:
        return (step + 1) / rise
    return cosine(step - rise, max(1, total - rise))


def cosine(step: int, total: int) -> float:
    """Factor from 1 down to (nearly) 0: (1 + cos(π step / total)) / 2."""
    return (1 + math.cos(math.pi * min(step, total) / total)) / 2


# --- batches ------------------------------------------------------------------------------------


def steps_per_epoch(n: int, batch_size: int) -> int:
    return max(1, n // batch_size)


def batch_indices(n: int, batch_size: int, seed: int, step: int, share: tuple[int, int] = (0, 1)) -> Tensor:
    """Indices of this process's part of batch `step`; every epoch is a fresh permutation of all n pictures."""
    per_epoch = steps_per_epoch(n, batch_size)
    epoch, place = divmod(step, per_epoch)
    order = _permutation(n, seed, epoch)
    index, number = share
    return order[place * batch_size : (place + 1) * batch_size][index::number]


_orders: dict[tuple[int, int], tuple[int, Tensor]] = {}


def _permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order of one epoch; the latest for each (n, seed) is kept, as all its steps ask for it."""
    kept = _orders.get((n, seed))
    if kept is None or kept[0] != epoch:
        kept = (epoch, torch.randperm(n, generator=generator(seed, epoch, 0)))
        _orders[n, seed] = kept
    return kept[1]


def generator(seed: int, step: int, stream: int) -> torch.Generator:
    """A CPU generator of its own for a step; different streams (purposes, processes) draw differently."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 101 + stream)


# --- log ----------------------------------------------------------------------------------------


class Log:
    """A JSON line per entry in `path`, and a progress bar with the time left; silent but in the main process.

    Every line names its phase (pretraining, untraining), the step and the total, and the seconds so far, so
    that whoever reads the file can draw curves and tell the time left.
    """

    def __init__(self, path: Path | None, phase: str, total: int, done: int = 0, show: bool = True, main: bool = True):
        self.path, self.phase, self.total = path if main else None, phase, total
        self.first, self.start = done, time.monotonic()
        self.bar = tqdm(total=total, initial=done, desc=phase, disable=not (show and main), dynamic_ncols=True, miniters=0)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.keep_until(done)
            self._append({"step": done})

    def keep_until(self, done: int) -> None:
        """Drop this phase's entries of steps that a resumed run takes again, or all of them for a fresh start."""
        if self.path.exists():
            kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if self._stays(line, done)]
            write_atomically(self.path, lambda temporary: temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8"))

    def _stays(self, line: str, done: int) -> bool:
        try:
            entry = json.loads(line)
            return entry.get("phase") != self.phase or (done > 0 and entry["step"] <= done)
        except (ValueError, AttributeError, KeyError, TypeError):  # cut off by a crash
            return False

    def reach(self, done: float) -> None:
        """Move the bar; a part of a step counts."""
        self.bar.n = int(done) if done == int(done) else round(done, 2)
        self.bar.update(0)

    def write(self, step: int, **values: float) -> None:
        self.bar.set_postfix({k: f"{v:.3g}" for k, v in values.items() if isinstance(v, float)})
        if self.path is not None:
            self._append({"step": step, **values})

    def _append(self, entry: dict) -> None:
        seconds = round(time.monotonic() - self.start, 3)
        line = {"phase": self.phase, "total": self.total, "since": self.first, "seconds": seconds, **entry}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({k: _finite(v) for k, v in line.items()}) + "\n")

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()


def _finite(value: float) -> float | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- stopping and going on ----------------------------------------------------------------------


class Stop:
    """True once Ctrl-C or a termination signal came, in any of the processes."""

    def __init__(self, accelerator: Accelerator):
        self.accelerator, self.asked = accelerator, False

    def __bool__(self) -> bool:
        if self.accelerator.num_processes == 1:
            return self.asked
        if self.asked:
            self.accelerator.set_trigger()
        return self.accelerator.check_trigger()


@contextmanager
def stopping(accelerator: Accelerator) -> Iterator[Stop]:
    """Within it the first Ctrl-C asks the loop to stop after its step; a second one ends it at once."""
    stop, before = Stop(accelerator), {}

    def ask(number: int, _frame) -> None:
        stop.asked = True
        signal.signal(number, before[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    except ValueError:  # only the main thread may set handlers; elsewhere nobody presses Ctrl-C
        before.clear()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def save_state(path: Path, tensors: dict[str, Tensor], opt: torch.optim.Optimizer, **about: object) -> None:
    """Everything needed to go on, in one file: tensors, the optimiser's state, and `about` as metadata."""
    flat = {f"tensor.{k}": v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    for index, entries in opt.state_dict()["state"].items():
        for key, value in entries.items():
            if value is not None:
                flat[f"optimizer.{index}.{key}"] = torch.as_tensor(value).cpu().contiguous().clone()
    write_atomically(path, lambda temporary: save_file(flat, temporary, {"about": json.dumps(about)}))


def load_state(path: Path, opt: torch.optim.Optimizer, digest: str) -> tuple[dict[str, Tensor], dict]:
    """Tensors and `about` of `save_state`; the optimiser is set. `digest` must be the one that was saved."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["about"])
            flat = {key: file.get_tensor(key) for key in file.keys()}
    except FileNotFoundError:
        raise WfvizError(f"there is nothing to resume in {path.parent}: {path.name} is missing") from None
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise WfvizError(f"{path} is damaged and cannot be resumed: {str(error).splitlines()[0]}") from None
    if about["digest"] != digest:
        raise WfvizError(f"{path.parent} was started with other settings; resume with the same command, or choose another --out")
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    opt.load_state_dict({"state": state, "param_groups": opt.state_dict()["param_groups"]})
    return {k.removeprefix("tensor."): v for k, v in flat.items() if k.startswith("tensor.")}, about

"""Background runs: a command of the command line in a process of its own, over a folder that tells all.

A run is a folder: `spec.json` (the command), `status.json` (state and process), `output.txt` (what it
printed), and what the command itself writes there (`log.jsonl`, a checkpoint). The folder is the truth: any
number of pages and servers read it, and none needs to live as long as the run. One run works at a time, the
others wait for their turn in the order they came.

States: queued, running, done, interrupted (it can be resumed), failed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from wfviz.errors import WfvizError
from wfviz.files import write_json

ROOT = Path("runs")
HOME = Path(__file__).resolve().parents[1]
SPEC, STATUS, LOG, OUTPUT = "spec.json", "status.json", "log.jsonl", "output.txt"
STOP = "stop"  # this file asks the run to stop
LIVING, STATES = ("queued", "running"), ("queued", "running", "done", "interrupted", "failed")
POLL = 0.3  # seconds between looks at the queue
COMES_UP = 30.0  # seconds that a new process may take to write its first word
TAIL = 8192  # bytes of the output that are looked at
INTERRUPTED = 130  # exit code of a command that was interrupted
EVALUATE = "--evaluate-only"  # in place of the command, for a run whose training is done


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it."""

    folder: Path
    command: tuple[str, ...]  # arguments after `python -m wfviz`, without --out and --resume
    state: str
    created: float  # seconds since 1970
    asked: float  # the same, when it was last queued
    pid: int | None = None
    message: str = ""
    stopping: bool = False  # it was asked to stop and has not yet

    @property
    def name(self) -> str:
        return self.folder.name


@dataclass(frozen=True)
class Progress:
    """How far the part of a run has come that it is busy with; `seconds_left` is None while it has no pace yet."""

    part: str
    share: float  # from 0 to 1
    seconds_left: float | None


def root() -> Path:
    """Where the pages keep their runs: $WFVIZ_RUNS, else `runs`."""
    return Path(os.environ.get("WFVIZ_RUNS") or ROOT)


def places(kind: str) -> list[Path]:
    """Folders in which the pages look for `checkpoints` or `comparisons`, each once: those in $WFVIZ_CHECKPOINTS or
    $WFVIZ_COMPARISONS, else the folder of that name and `runs`, here and beside the code, and the pages' own runs."""
    given = os.environ.get(f"WFVIZ_{kind.upper()}")
    if given:
        return [Path(part) for part in given.split(os.pathsep) if part]
    found = [*(base / name for base in (Path.cwd(), HOME) for name in (kind, "runs")), root()]
    return list(dict.fromkeys(place.resolve() for place in found if place.is_dir()))


def start(command: list[str], name: str, root: Path = ROOT) -> Run:
    """Queue `python -m wfviz COMMAND --out root/name` in the background and return at once.

    Raises WfvizError for a name that is taken or is no plain folder name.
    """
    check_name(name)
    folder = root / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise WfvizError(f"there is a run {name} already; choose another name") from None
    except OSError as error:
        raise WfvizError(f"{folder} cannot be made: {error.strerror}") from None
    write_json(folder / SPEC, {"command": list(command), "created": time.time()})
    return _spawn(folder, [])


def check_name(name: str) -> None:
    """Raises WfvizError for what is no plain folder name."""
    if not re.fullmatch(r"\w[\w.-]{0,79}", name):
        shown = name if len(name) <= 80 else name[:79] + "…"
        raise WfvizError(f"{shown!r} is no name for a run; use letters, digits, - and _")


def resume(folder: Path) -> Run:
    """Queue an interrupted or failed run again; it goes on from its last saved step, if it has one."""
    with _alone(folder.parent):
        run = read(folder)
        if run.state in LIVING or run.state == "done":
            raise WfvizError(f"run {run.name} is {run.state}; only an interrupted or failed one can be resumed")
        from wfviz.untraining import begun  # torch takes seconds

        if any(folder.glob("*training.safetensors")) or run.command[:1] == ("compare",) or begun(folder):
            return _spawn(folder, ["--resume"])
        return _spawn(folder, [EVALUATE] if _only_unevaluated(run) else ["--overwrite"])


def stop(folder: Path) -> None:
    """Ask a run to stop and do not wait: it saves what it has and becomes `interrupted`."""
    if read(folder).state in LIVING:
        (folder / STOP).touch()
        process = _process(_status(folder))
        if process is not None:
            with _gone():
                process.terminate()


def cancel(folder: Path, patience: float = 20.0) -> Run:
    """Ask a run to stop and wait until it has. One that has not within `patience` seconds is ended."""
    stop(folder)
    deadline = time.monotonic() + patience
    while (run := read(folder)).state in LIVING and time.monotonic() < deadline:
        time.sleep(0.05)
    process = _process(_status(folder)) if run.state in LIVING else None
    if process is not None:
        with _gone():
            process.kill()
            process.wait(5)
    return read(folder)


def find(root: Path = ROOT) -> list[Run]:
    """All runs below `root`, newest first; folders that are no runs are passed over."""
    runs = []
    for path in root.glob(f"*/{SPEC}"):
        try:
            runs.append(read(path.parent))
        except WfvizError:
            continue
    return sorted(runs, key=lambda run: (-run.created, run.name))


def read(folder: Path) -> Run:
    """A run from its folder; one whose process is gone without a word is `interrupted`."""
    try:
        spec = json.loads((folder / SPEC).read_text(encoding="utf-8"))
        command, created = tuple(spec["command"]), float(spec["created"])
        if isinstance(spec["command"], str) or not all(isinstance(word, str) for word in command):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise WfvizError(f"{folder} is no run: its {SPEC} is missing or damaged") from None
    status = _status(folder)
    if _lost(status, created):
        status = _status(folder)  # it may have ended in between, with its last word
        if _lost(status, created):
            message = "cancelled" if (folder / STOP).exists() else "its process ended without a word"
            status = {**status, "state": "interrupted", "message": message}
    state, living = status["state"], status["state"] in LIVING
    return Run(
        folder, command, state, created, status.get("asked", created), status.get("pid") if living else None,
        str(status.get("message", "")), living and (folder / STOP).exists(),
    )


def busy(folder: Path) -> bool:
    """True while a run still works in this folder: the checkpoint in it is not the final one."""
    try:
        return read(folder).state in LIVING
    except WfvizError:
        return False


def unfinished(folder: Path, card: dict) -> bool:
    """True for a checkpoint that is no result yet: a run works on it, or its untraining was broken off."""
    return (card.get("untraining") or {}).get("state") in ("started", "interrupted") or busy(folder)


# --- what a run tells of itself -----------------------------------------------------------------


def read_log(folder: Path) -> list[dict]:
    """The entries of a run's log, in order; a line that is still being written is left out."""
    entries = []
    try:
        for line in (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                entries.append(entry)
    except OSError:
        return []
    return entries


def seconds_left(entries: list[dict], step: int | None = None) -> float | None:
    """Time left in the phase that the last entry belongs to, from its pace so far; None before there is one.

    step: how far it has come since the last entry, if that is known.
    """
    last = entries[-1] if entries else {}
    done = last.get("step", 0) - last.get("since", 0)
    if not done or not last.get("seconds"):
        return None
    return max(0.0, last["seconds"] / done * (last["total"] - max(step or 0, last["step"])))


def output(folder: Path, lines: int = 40) -> list[str]:
    """The last lines a run has printed; of a progress bar only its last state."""
    try:
        with open(folder / OUTPUT, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    if size > TAIL:  # it starts within a line, or within a state of a bar
        text = re.split(r"[\r\n]", text, maxsplit=1)[-1]
    found = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in found if line][-lines:]


BAR = re.compile(r"^\s*(?:(?P<part>[^|%]+?): +)?(?P<percent>\d+)%\|.*?\| (?P<done>[\d.]+)/\d+ \[[^<]*<(?P<left>[\d:]+)?")


def progress(folder: Path, entries: list[dict]) -> Progress | None:
    """How far a run has come, from its progress bar and its log (`read_log`); None before either says anything."""
    last = entries[-1] if entries else {}
    bar = next((found for line in reversed(output(folder, 3)) if (found := BAR.match(line))), None)
    if bar is None:
        return Progress(last["phase"], last["step"] / last["total"], seconds_left(entries)) if last.get("total") else None
    part = bar["part"] or "downloading"
    left = seconds_left(entries, float(bar["done"])) if part == last.get("phase") else None
    if left is None and bar["left"]:
        left = float(sum(int(n) * 60**i for i, n in enumerate(reversed(bar["left"].split(":")))))
    return Progress(part, min(1.0, int(bar["percent"]) / 100), left)


# --- the process of a run -----------------------------------------------------------------------


def _spawn(folder: Path, more: list[str]) -> Run:
    (folder / STOP).unlink(missing_ok=True)
    write_json(folder / STATUS, {"state": "queued", "asked": time.time()})
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    with open(folder / OUTPUT, "ab") as printed:
        subprocess.Popen(
            [sys.executable, "-m", "wfviz.runs", str(folder), *more],
            stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, start_new_session=True,
            env={"TQDM_MININTERVAL": "1", "PYTHONUNBUFFERED": "1", **os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)},
        )
    return read(folder)


def work(folder: Path, more: list[str]) -> int:
    """Wait for the turn, run the command, leave its state. This is what a run's process does."""
    asked: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    me = {"pid": os.getpid(), "born": psutil.Process().create_time(), "asked": read(folder).asked}
    write_json(folder / STATUS, {"state": "queued", **me})
    with open(folder.parent / ".turn", "w") as turn:
        while not (stopped := bool(asked) or (folder / STOP).exists()) and not _my_turn(folder, turn):
            time.sleep(POLL)
        if stopped:
            write_json(folder / STATUS, {"state": "interrupted", "message": "cancelled while it waited"})
            return INTERRUPTED
        write_json(folder / STATUS, {"state": "running", **me})
        code = _run(folder, more, asked)
    state = {0: "done", INTERRUPTED: "interrupted"}.get(code, "failed")
    last = next(iter(output(folder, 1)), "")
    message = {"failed": re.sub(r"^wfviz( \w+)?: error: ", "", last), "interrupted": "cancelled"}.get(state, "")
    write_json(folder / STATUS, {"state": state, "message": message})
    (folder / STOP).unlink(missing_ok=True)
    return code


def _run(folder: Path, more: list[str], asked: list[bool]) -> int:
    """The command, or what is left of it; its exit code. From here on a request to stop interrupts it at any place."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if asked:
            return INTERRUPTED
        from wfviz.cli import main

        command = read(folder).command
        again = evaluations(command, folder) if more == [EVALUATE] else [[*command, "--out", str(folder), *more]]
        return next((code for part in again if (code := main(part))), 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as error:  # argparse has said what it did not like
        return error.code if isinstance(error.code, int) else 1
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        return 1


def _only_unevaluated(run: Run) -> bool:
    """True where α is learned and stored, and only the evaluation after it was not finished."""
    try:
        card = json.loads((run.folder / "card.json").read_text(encoding="utf-8"))
        return card["kind"] == "wfnet" and card["untraining"]["state"] in ("done", "stopped early")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def evaluations(command: tuple[str, ...], folder: Path) -> list[list[str]]:
    """The commands that evaluate what `command` (untrain) has left in `folder`, as it would have itself."""
    from wfviz.cli import parser

    args = parser().parse_args([*command, "--out", str(folder)])
    given = {"--data-root": args.data_root, "--device": args.device}
    where = [word for flag, value in given.items() if value for word in (flag, str(value))]
    train = ["evaluate", str(folder), "--split", "train", "--limit", str(args.limit), *where]
    return [train, ["evaluate", str(folder), "--curves", str(args.curves), *where]]


def _my_turn(folder: Path, turn) -> bool:
    """True, with the lock held until `turn` is closed, when nobody works and nobody came before."""
    waiting = [run for run in find(folder.parent) if run.state == "queued"]
    if waiting and min(waiting, key=lambda run: (run.asked, run.name)).folder != folder:
        return False
    try:
        fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Held while a run is queued again, so that two visitors do not do so at once."""
    with open(root / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _gone() -> Iterator[None]:
    """A process that has ended by now is fine."""
    try:
        yield
    except (psutil.NoSuchProcess, psutil.TimeoutExpired):
        pass


def _status(folder: Path) -> dict:
    """What `status.json` says; without a readable one, a run that has not come up yet."""
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        if status["state"] in STATES and isinstance(status.get("asked", 0.0), (int, float)):
            return status
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {"state": "queued"}


def _lost(status: dict, created: float) -> bool:
    """True for a run that should be alive and is not."""
    if status["state"] not in LIVING:
        return False
    if status.get("pid") is None:
        return time.time() - status.get("asked", created) > COMES_UP
    return _process(status) is None


def _process(status: dict) -> psutil.Process | None:
    """The living process of a run; one that merely got the same number later is not taken for it."""
    try:
        process = psutil.Process(status["pid"])
        same = abs(process.create_time() - status["born"]) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (KeyError, TypeError, ValueError, psutil.NoSuchProcess):
        return None


if __name__ == "__main__":
    sys.exit(work(Path(sys.argv[1]), sys.argv[2:]))

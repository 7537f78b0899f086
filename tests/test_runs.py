"""Background runs: the queue, cancelling and resuming, and what is made of processes that vanish."""

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from wfviz import runs
from wfviz.checkpoints import read_card
from wfviz.cli import main
from wfviz.errors import WfvizError
from wfviz.files import write_json

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints" / "digits-cnn"
TINY = ["untrain", "--dataset", "digits", "--backbone", "cnn", "--from", str(SHIPPED), "--no-evaluate"]
REFUSED = ["untrain", "--stepps", "3"]  # fails before anything heavy is imported


@pytest.fixture(autouse=True)
def nothing_left(tmp_path, monkeypatch):
    """One thread a run, and no run that outlives its test."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    for run in runs.find(tmp_path):
        if run.pid != os.getpid():
            runs.cancel(run.folder, 0)


def wait(folder: Path, *states: str, seconds: float = 120) -> runs.Run:
    """The run once it is in one of the states."""
    deadline = time.monotonic() + seconds
    while (run := runs.read(folder)).state not in states:
        assert time.monotonic() < deadline, f"{run}\n" + "\n".join(runs.output(folder))
        time.sleep(0.05)
    return run


@contextmanager
def turn_taken(root: Path):
    """As if another run worked."""
    with open(root / ".turn", "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def made_up(root: Path, name: str = "run", created: float | None = None, **status) -> Path:
    """A run's folder without a process."""
    (root / name).mkdir()
    write_json(root / name / runs.SPEC, {"command": TINY, "created": created or time.time()})
    if status:
        write_json(root / name / runs.STATUS, status)
    return root / name


def alive() -> dict:
    return {"pid": os.getpid(), "born": psutil.Process().create_time()}


# --- with real processes ------------------------------------------------------------------------


@pytest.mark.slow
def test_cancelled_and_resumed_run_ends_like_one_that_was_not(tmp_path):
    """The weights of both are the same, bit for bit."""
    command = [*TINY, "--steps", "100"]
    whole = runs.start(command, "whole", tmp_path)
    parts = runs.start(command, "parts", tmp_path)
    assert whole.state == parts.state == "queued" and [r.name for r in runs.find(tmp_path)] == ["parts", "whole"]
    assert wait(whole.folder, "done", "failed").state == "done"
    wait(parts.folder, "running")
    while not any("loss" in entry for entry in runs.read_log(parts.folder)):
        time.sleep(0.02)
    cancelled = runs.cancel(parts.folder)
    assert (cancelled.state, cancelled.message, cancelled.pid) == ("interrupted", "cancelled", None)
    assert read_card(parts.folder)["untraining"]["state"] == "interrupted"
    assert runs.resume(parts.folder).state == "queued"
    with pytest.raises(WfvizError, match="is queued; only an interrupted or failed"):
        runs.resume(parts.folder)
    assert wait(parts.folder, "done", "failed", "interrupted").state == "done"
    assert not (parts.folder / runs.STOP).exists()
    assert read_card(parts.folder)["digests"]["weights"] == read_card(whole.folder)["digests"]["weights"]
    measured = [[e["step"] for e in runs.read_log(r.folder) if "loss" in e] for r in (whole, parts)]
    assert measured[0] == measured[1] == [50, 100]
    with pytest.raises(WfvizError, match="is done"):
        runs.resume(parts.folder)


def test_killed_run_is_interrupted_and_failing_one_says_why(tmp_path):
    killed = runs.start([*TINY, "--steps", "100000"], "killed", tmp_path)
    failing = runs.start(["untrain", "--dataset", "digits", "--backbone", "cnn", "--from", "nowhere"], "failing", tmp_path)
    process = psutil.Process(wait(killed.folder, "running").pid)
    assert wait(failing.folder, "queued").state == "queued"
    process.kill()
    run = wait(killed.folder, "interrupted", "done")
    assert run.state == "interrupted" and "without a word" in run.message
    run = wait(failing.folder, "failed", "done")
    assert (run.state, run.message) == ("failed", "nowhere is no checkpoint: it has no card.json")
    refused = runs.start(REFUSED, "refused", tmp_path)
    assert "arguments are required: --dataset" in wait(refused.folder, "failed", "done").message


@pytest.mark.slow
def test_interrupted_evaluation_is_made_up_for(tmp_path):
    """A run whose α is learned is not trained again."""
    command = [*TINY[:-1], "--steps", "50", "--curves", "2", "--limit", "100"]
    folder = tmp_path / "run"
    assert main([*command, "--no-evaluate", "--out", str(folder)]) == 0
    weights = (folder / "wfnet.safetensors").stat().st_mtime_ns
    write_json(folder / runs.SPEC, {"command": command, "created": time.time()})
    write_json(folder / runs.STATUS, {"state": "interrupted"})
    runs.resume(folder)
    assert wait(folder, "done", "failed").state == "done"
    card = read_card(folder)
    assert set(card["metrics"]) == {"test", "train"} and card["metrics"]["train"]["pictures"] == 100
    assert card["curves"]["per_class"] == 2
    assert (folder / "wfnet.safetensors").stat().st_mtime_ns == weights


def test_waiting_runs_keep_their_order_and_can_be_cancelled(tmp_path):
    with turn_taken(tmp_path):
        folders = [runs.start(REFUSED, name, tmp_path).folder for name in ("first", "second", "third")]
        for folder in folders:
            while runs.read(folder).pid is None:
                time.sleep(0.05)
        assert [run.name for run in runs.find(tmp_path)] == ["third", "second", "first"]
        run = runs.cancel(folders[0])
        assert (run.state, run.message) == ("interrupted", "cancelled while it waited")
        runs.resume(folders[0])  # at the end of the queue now
        early = runs.start(REFUSED, "early", tmp_path).folder
        assert runs.cancel(early).state == "interrupted"  # even before it has come up
    ended = {folder.name: 0.0 for folder in folders}
    while not all(ended.values()):
        for folder in folders:
            if not ended[folder.name] and runs.read(folder).state == "failed":
                ended[folder.name] = time.monotonic()
        time.sleep(0.05)
    assert sorted(ended, key=ended.get) == ["second", "third", "first"]


# --- with folders alone -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "../out", "a/b", "/tmp/x", ".hidden", "-x", "a b", "a\0b", "a\n", "x" * 200, "*"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(WfvizError, match="no name for a run"):
        runs.start(REFUSED, name, tmp_path / "runs")
    assert not (tmp_path / "runs").exists() and len(list(tmp_path.iterdir())) == 0


def test_taken_name_is_refused(tmp_path):
    made_up(tmp_path)
    with pytest.raises(WfvizError, match="there is a run run already"):
        runs.start(REFUSED, "run", tmp_path)


def test_rubbish_is_no_run(tmp_path):
    good = made_up(tmp_path, "good", state="done")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    bad = ["", "{", "[]", "3", '{"command": "untrain", "created": 1}', '{"command": [1], "created": 1}', '{"command": [], "created": "x"}', '{"created": 1}']
    for number, text in enumerate(bad):
        (tmp_path / f"bad{number}").mkdir()
        (tmp_path / f"bad{number}" / runs.SPEC).write_text(text)
        with pytest.raises(WfvizError, match="is no run"):
            runs.read(tmp_path / f"bad{number}")
    assert [run.folder for run in runs.find(tmp_path)] == [good]
    assert runs.find(tmp_path / "nowhere") == []
    assert not runs.busy(tmp_path / "empty")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "dancing"}', '{"pid": 1}'])
def test_damaged_status_is_a_run_that_never_came_up(tmp_path, text):
    folder = made_up(tmp_path, created=time.time() - 2 * runs.COMES_UP)
    (folder / runs.STATUS).write_text(text)
    assert runs.read(folder).state == "interrupted"


def test_living_process_is_believed(tmp_path):
    folder = made_up(tmp_path, state="running", **alive())
    assert runs.read(folder).state == "running" and runs.busy(folder)
    (folder / runs.STOP).touch()
    assert runs.read(folder).stopping


def test_checkpoint_of_a_run_is_unfinished_until_it_has_ended(tmp_path):
    folder = made_up(tmp_path, state="running", **alive())
    assert runs.unfinished(folder, {"untraining": {"state": "done"}})  # it is still evaluated
    write_json(folder / runs.STATUS, {"state": "done"})
    assert not runs.unfinished(folder, {"untraining": {"state": "stopped early"}})
    assert not runs.unfinished(tmp_path / "shipped", {}) and not runs.unfinished(tmp_path / "shipped", {"untraining": None})
    for state in ("started", "interrupted"):
        assert runs.unfinished(tmp_path / "by hand", {"untraining": {"state": state}})


def test_reused_pid_is_not_taken_for_alive(tmp_path):
    folder = made_up(tmp_path, state="running", pid=os.getpid(), born=psutil.Process().create_time() - 5000)
    assert runs.read(folder).state == "interrupted"
    assert runs.cancel(folder).state == "interrupted"  # and nobody is ended for it


def test_unwaited_child_counts_as_gone(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    folder = made_up(tmp_path, state="running", pid=child.pid, born=psutil.Process(child.pid).create_time())
    deadline = time.monotonic() + 10
    while runs.read(folder).state == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert runs.read(folder).state == "interrupted"
    child.wait()


def test_half_written_line_of_the_log_is_left_out(tmp_path):
    folder = made_up(tmp_path)
    entry = {"phase": "untraining", "total": 100, "since": 20, "seconds": 8.0, "step": 60}
    (folder / runs.LOG).write_bytes(json.dumps(entry).encode() + b'\n7\n{"phase": "untraining", "loss": 0.\xc3')
    assert runs.read_log(folder) == [entry]
    assert runs.seconds_left(runs.read_log(folder)) == pytest.approx(8.0)
    assert runs.seconds_left(runs.read_log(folder), step=80) == pytest.approx(4.0)
    assert runs.seconds_left([]) is runs.seconds_left([{**entry, "step": 20}]) is None
    assert runs.read_log(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("printed", "part", "share", "left"),
    [
        ("untraining:  45%|####5     | 45/100 [00:10<01:02,  4.3it/s, loss=1]", "untraining", 0.45, 11.0),
        ("noise\rinsertion and deletion:  40%|████      | 4/10 [00:08<1:00:13,  2.29s/class]", "insertion and deletion", 0.4, 3613.0),
        ("retrain, 3:  18%|█▊        | 0.36/2 [00:08<00:38, 23.45s/it]", "retrain, 3", 0.18, 38.0),
        (" 12%|█▏        | 20/170 [00:01<00:09, 15.0MB/s]", "downloading", 0.12, 9.0),
        ("evaluating test:   0%|          | 0/3960 [00:00<?, ?pic/s]", "evaluating test", 0.0, None),
        ("no bar at all", "untraining", 0.4, 12.0),
    ],
)
def test_progress_comes_from_bar_and_log(tmp_path, printed, part, share, left):
    folder = made_up(tmp_path)
    (folder / runs.OUTPUT).write_text(printed, newline="")
    entries = [{"phase": "untraining", "total": 100, "since": 0, "seconds": 8.0, "step": 40}]
    found = runs.progress(folder, entries)
    assert (found.part, found.share) == (part, pytest.approx(share))
    assert found.seconds_left == (None if left is None else pytest.approx(left))
    assert runs.progress(made_up(tmp_path, "other"), []) is None


def test_output_keeps_the_last_state_of_a_bar(tmp_path):
    folder = made_up(tmp_path)
    (folder / runs.OUTPUT).write_text("start\n" + "".join(f"\rbar {i}" for i in range(5000)) + "\r\nlast\n", newline="")
    assert runs.output(folder) == ["bar 4999", "last"]
    assert runs.output(folder, 1) == ["last"]


def test_places_are_each_named_once(tmp_path, monkeypatch):
    """`runs` here and the pages' own runs are one folder, unless $WFVIZ_RUNS says otherwise."""
    for variable in ("WFVIZ_RUNS", "WFVIZ_CHECKPOINTS", "WFVIZ_COMPARISONS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("runs", "comparisons", "elsewhere"):
        (tmp_path / name).mkdir()
    here = [tmp_path / "comparisons", tmp_path / "runs"]
    assert runs.places("comparisons")[:2] == here and runs.places("comparisons").count(here[1]) == 1 and runs.places("checkpoints")[0] == here[1]
    monkeypatch.setenv("WFVIZ_RUNS", "elsewhere")
    assert tmp_path / "elsewhere" in runs.places("comparisons") and tmp_path / "elsewhere" in runs.places("checkpoints")
    monkeypatch.setenv("WFVIZ_CHECKPOINTS", "a:b")
    assert runs.places("checkpoints") == [Path("a"), Path("b")]

"""`compare` in a folder whose comparison was made elsewhere."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from tests.comparison_fixture import write
from wfviz.cli import main
from wfviz.comparisons import COMPARISON
from wfviz.methods import registry

DIGITS = Path(__file__).parents[2] / "checkpoints" / "digits-cnn"
COMPARE = ["compare", "--dataset", "digits", "--backbone", "cnn", "--device", "cpu", "--from", str(DIGITS), "--classes", "3", "--relearn", "0"]


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """Names of the methods that really ran."""
    done, run = [], registry.Method.run

    def noted(self, *args, **kwargs):
        done.append(self.name)
        return run(self, *args, **kwargs)

    monkeypatch.setattr(registry.Method, "run", noted)
    return done


@pytest.fixture
def copied(tmp_path, ran) -> Path:
    """A comparison of two methods as a clone has it: without its rows and networks."""
    made, there = tmp_path / "made", tmp_path / "there"
    assert main([*COMPARE, "--methods", "original,logit_mask", "--out", str(made)]) == 0
    there.mkdir()
    shutil.copy(made / COMPARISON, there)
    ran.clear()
    return there


def rows(folder: Path) -> dict[str, dict]:
    found = json.loads((folder / COMPARISON).read_text(encoding="utf-8"))["rows"]
    return {row["method"]: row for row in found}


def test_a_copy_is_gone_on_from(copied, ran):
    """`comparison.json` is enough: only what is new, or depends on something else, is done."""
    before = rows(copied)
    longer = [*COMPARE, "--methods", "original,logit_mask,random_labels", "--set", "random_labels.steps=2", "--set", "random_labels.lr=1e-3"]
    assert main([*longer, "--resume", "--out", str(copied)]) == 0
    after = rows(copied)
    assert ran == ["random_labels"] and list(after) == ["original", "logit_mask", "random_labels"]
    assert {name: after[name] for name in before} == before
    ran.clear()
    assert main([*longer, "--relearn", "1", "--resume", "--out", str(copied)]) == 0 and len(ran) == 3  # judged otherwise: other rows


def test_what_a_shorter_comparison_leaves_out_is_kept(copied, ran):
    assert main([*COMPARE, "--methods", "original", "--resume", "--out", str(copied)]) == 0 and list(rows(copied)) == ["original"]
    assert main([*COMPARE, "--methods", "original,logit_mask", "--out", str(copied)]) == 0
    assert ran == [] and list(rows(copied)) == ["original", "logit_mask"]


def test_keys_do_not_leave_the_folder(copied):
    """A file from somebody else writes nowhere but where rows are kept."""
    found = json.loads((copied / COMPARISON).read_text(encoding="utf-8"))
    found["rows"][0]["key"] = "/../../../elsewhere"
    (copied / COMPARISON).write_text(json.dumps(found))
    assert main([*COMPARE, "--methods", "original", "--resume", "--out", str(copied)]) == 0
    assert not list(copied.parent.rglob("elsewhere*")) and len(list((copied / "rows").iterdir())) == 2


def test_the_shipped_comparison_is_of_this_code(tmp_path, ran, monkeypatch):
    """Its own command finds every row done, in any clone: a method that was changed since would be done again."""
    monkeypatch.chdir(DIGITS.parents[1])
    there = tmp_path / "copy"
    shutil.copytree(Path("comparisons") / "digits-cnn", there, ignore=shutil.ignore_patterns("rows", "models", "*.jsonl"))
    before = json.loads((there / COMPARISON).read_text(encoding="utf-8"))
    assert main([*shlex.split(before["command"])[3:], "--device", "cpu", "--resume", "--out", str(there)]) == 0
    assert ran == [] and json.loads((there / COMPARISON).read_text(encoding="utf-8"))["rows"] == before["rows"]


def test_a_comparison_from_elsewhere_is_not_replaced_unasked(tmp_path, copied, capsys):
    """An older one has no keys to go on from."""
    older = write(tmp_path / "older")
    for folder, more, said in ((copied, [], "--resume"), (older, [], "older version"), (older, ["--resume"], "older version")):
        before, command = (folder / COMPARISON).read_bytes(), [*COMPARE, "--methods", "original", "--out", str(folder)]
        capsys.readouterr()
        assert main([*command, *more]) == 2 and (folder / COMPARISON).read_bytes() == before and not (folder / "rows").exists()
        error = capsys.readouterr().err
        assert said in error and "--overwrite" in error and error.count("\n") == 1
    assert main([*command, "--overwrite"]) == 0 and main(command) == 0 and list(rows(older)) == ["original"]

"""The commands behind the paper's tables: complete, accepted by the command line, and done only once."""

import json
import shutil
from pathlib import Path

import pytest

from wfviz import methods, reproducing
from wfviz.cli import main, parser
from wfviz.errors import WfvizError


def test_every_cell_has_its_commands_and_each_is_one_that_the_command_line_takes():
    found = reproducing.steps()
    for dataset in ("mnist", "cifar10"):
        for backbone in ("vgg16", "resnet18", "vit_tiny", "vit_small"):
            mine = [s for s in found if s.cell == f"{dataset}-{backbone}"]
            assert [s.command[0] for s in mine] == ["pretrain", "compare", "pretrain", "untrain", "untrain"]
            original = str(mine[0].folder)
            assert all(original in s.command for s in mine[1:])  # all from the same network
    for step in found:
        args = parser().parse_args(list(step.command))
        assert args.command == step.command[0] and Path(args.out) == step.folder


def test_seeds_and_cells():
    found = reproducing.steps(("table2",), "*-resnet18", (0, 1), Path("there"))
    assert {s.cell for s in found} == {"mnist-resnet18", "cifar10-resnet18"}
    assert sum(s.command[0] == "untrain" for s in found) == 2 * 2 * 2 and all(s.folder.parent == Path("there") for s in found)
    with pytest.raises(WfvizError, match="no cell is called 'mnist-vgg11'; there are mnist-vgg16"):
        reproducing.steps(cells="mnist-vgg11")


def test_what_is_done_is_not_done_again(tmp_path):
    first = reproducing.steps(("table1",), "mnist-vgg16", root=tmp_path)
    assert reproducing.todo(first[0]) == [first[0].command]
    shutil.copytree("checkpoints/digits-cnn", first[0].folder)
    (first[0].folder / "pretraining.safetensors").touch()
    assert reproducing.todo(first[0]) == [(*first[0].command, "--resume")]
    (first[0].folder / "pretraining.safetensors").unlink()
    assert reproducing.todo(first[0]) == []
    assert reproducing.todo(first[1]) == [(*first[1].command, "--resume")]  # keeps its finished rows by itself


def test_what_was_left_half_done_is_finished(tmp_path):
    """A round that never took a step begins again; one that was not evaluated is evaluated."""
    step = reproducing.steps(("table2",), "mnist-vgg16", root=tmp_path)[1]
    shutil.copytree("checkpoints/digits-cnn", step.folder)
    assert reproducing.todo(step) == []
    card = json.loads((step.folder / "card.json").read_text())
    (step.folder / "card.json").write_text(json.dumps({**card, "metrics": {"test": card["metrics"]["test"]}}))
    left = [parser().parse_args(list(command)) for command in reproducing.todo(step)]
    assert [(args.command, args.split, args.folder) for args in left] == [("evaluate", split, str(step.folder)) for split in ("train", "test")]
    (step.folder / "card.json").write_text(json.dumps({**card, "metrics": {}, "untraining": {"state": "started"}}))
    assert reproducing.todo(step) == [(*step.command, "--resume")]


def test_the_first_failure_ends_it(tmp_path, capsys, no_network):
    code = main(["reproduce", "table1", "--cells", "mnist-vgg16", "--out", str(tmp_path), "--data-root", str(tmp_path / "none")])
    said = capsys.readouterr()
    assert code == 2 and said.err.count("\n") == 1 and "MNIST is not under" in said.err
    assert said.out.count("python -m wfviz") == 1 and not list(tmp_path.iterdir())


def test_dry_run(tmp_path, capsys):
    assert main(["reproduce", "all", "--cells", "mnist-vit_tiny", "--out", str(tmp_path), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(s) for s in reproducing.steps(cells="mnist-vit_tiny", root=tmp_path)] and not list(tmp_path.iterdir())


def test_imagenet(tmp_path, capsys):
    """Every command is one that the command line takes; the evaluation is done once there are numbers."""
    found = reproducing.imagenet(tmp_path / "pictures", "*-resnet*", (0, 1), tmp_path)
    assert {s.cell for s in found} == {"imagenet-resnet18", "imagenet-resnet50", "imagenet-resnet101"} and len(found) == 3 * 2 * 2
    for step in found:
        args = parser().parse_args(list(step.command))
        assert args.command in ("untrain", "evaluate") and str(step.folder) in step.command
    assert main(["reproduce", "imagenet", "--imagenet", str(tmp_path / "pictures"), "--out", str(tmp_path), "--cells", "*resnet*", "--seeds", "0,1", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(s) for s in found]
    with pytest.raises(WfvizError, match="no cell is called 'x'; there are imagenet-resnet18"):
        reproducing.imagenet(tmp_path, "x")
    assert main(["reproduce", "imagenet"]) == 2 and "--imagenet DIR" in capsys.readouterr().err


def test_kga(tmp_path, capsys):
    """Every freeze set of both ways, beside the original and the retrained network, in one comparison a cell."""
    found = reproducing.kga("cifar10-*", (0, 1), tmp_path)
    assert [(s.cell, s.command[0]) for s in found] == [(f"cifar10-{b}", c) for b in ("resnet18", "vgg11") for c in ("pretrain", "compare")]
    args = parser().parse_args(list(found[3].command))
    assert args.source == str(found[2].folder) and args.seeds == "0,1"
    variants = [methods.get(name) for name in args.methods.split(",")]
    assert [v.settings["freeze"] for v in variants[2:]] == ["0", "1", "12", "123"] * 2 and {v.unlearn for v in variants[2:]} == {methods.get("kga").unlearn}
    assert main(["reproduce", "kga", "--out", str(tmp_path), "--cells", "cifar100-vgg11", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(s) for s in reproducing.kga("cifar100-vgg11", root=tmp_path)]
    with pytest.raises(WfvizError, match="no cell is called 'mnist'; there are cifar10-resnet18"):
        reproducing.kga("mnist")


def test_an_evaluation_is_done_once(tmp_path):
    untraining, evaluation = reproducing.imagenet(tmp_path, "*-vgg16", root=tmp_path)
    shutil.copytree("checkpoints/digits-cnn", evaluation.folder)
    assert reproducing.todo(untraining) == reproducing.todo(evaluation) == []
    card = json.loads((evaluation.folder / "card.json").read_text())
    (evaluation.folder / "card.json").write_text(json.dumps({k: v for k, v in card.items() if k != "metrics"}))
    assert reproducing.todo(evaluation) == [evaluation.command]

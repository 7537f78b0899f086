"""`pretrain` and `untrain`: part of the pictures, input that is wrong late, and rounds that were ended before their first kept step."""

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image

from wfviz import checkpoints, untraining
from wfviz.backbones import build
from wfviz.cli import main
from wfviz.commands import training
from wfviz.commands.shared import plain_network
from wfviz.data import load_data
from wfviz.errors import WfvizError
from wfviz.files import alone, write_json
from wfviz.filtering import WFNet
from wfviz.pictures import normalize
from wfviz.specs import BackboneSpec

SHIPPED = Path(__file__).parents[2] / "checkpoints" / "digits-cnn"
UNTRAIN = ["untrain", "--dataset", "digits", "--backbone", "cnn", "--device", "cpu", "--steps", "3", "--no-evaluate"]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def finished(tmp_path) -> Path:
    """A checkpoint beside the state of a round that could be gone on with."""
    shutil.copytree(SHIPPED, tmp_path / "wf")
    (tmp_path / "wf" / untraining.STATE).write_bytes(b"a state")
    return tmp_path / "wf"


def test_part_of_the_pictures(tmp_path):
    """What a network was trained on is what it is untrained on, as its card says."""
    source, out = tmp_path / "classifier", tmp_path / "wf"
    assert main(["pretrain", "--dataset", "digits", "--backbone", "cnn", "--device", "cpu", "--epochs", "1", "--train-pictures", "100", "--out", str(source)]) == 0
    assert main([*UNTRAIN, "--from", str(source), "--out", str(out)]) == 0
    assert [checkpoints.read_card(folder)["data"]["train_pictures"] for folder in (source, out)] == [100, 100]


def test_the_network_that_is_to_stay_is_not_written_over(tmp_path, capsys):
    source = tmp_path / "wf"
    shutil.copytree(SHIPPED, source)
    before = files(source)
    assert main([*UNTRAIN, "--from", str(source), "--no-backbone", "--overwrite", "--out", str(source)]) == 2
    assert "choose another --out" in capsys.readouterr().err and files(source) == before


def test_an_evaluation_that_was_interrupted_is_gone_on_with(tmp_path, monkeypatch, capsys):
    out, calls = tmp_path / "wf", []
    command = [*UNTRAIN[:-1], "--from", str(SHIPPED), "--limit", "50", "--curves", "2", "--out", str(out)]
    judge = training.evaluated

    def once(net, data, folder, split, *more):
        if split == "train":
            raise KeyboardInterrupt
        judge(net, data, folder, split, *more)

    monkeypatch.setattr(training, "evaluated", once)
    assert main(command) == 130
    learned, there = (out / "wfnet.safetensors").read_bytes(), checkpoints.read_card(out)
    assert list(there["metrics"]) == ["test"] and not there.get("curves")
    monkeypatch.setattr(training.untraining, "untrain", lambda *args, **more: calls.append(1))
    assert main([*command, "--resume"]) == 0 and not calls
    there = checkpoints.read_card(out)
    assert list(there["metrics"]) == ["test", "train"] and there["metrics"]["train"]["pictures"] == 50 and there["curves"]["per_class"] == 2
    assert (out / "wfnet.safetensors").read_bytes() == learned
    capsys.readouterr()
    assert main([*command, "--resume"]) == 2 and "is finished" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "said"), [
    (["--learn-from", "synthetc"], "synthetc"), (["--learn-from", "digits"], "the data set itself"), (["--from", "nowhere"], "no checkpoint"),
    (["--from", str(SHIPPED.parent / "digits-vit_micro")], "holds vit_micro"),
])  # fmt: skip
def test_overwriting_waits_until_the_input_is_known_to_be_right(more, said, finished, capsys):
    before = files(finished)
    assert main([*UNTRAIN, "--from", str(SHIPPED), *more, "--overwrite", "--out", str(finished)]) == 2
    assert said in capsys.readouterr().err and files(finished) == before


def test_a_round_that_was_ended_before_its_first_kept_step_goes_on_with_its_network(tmp_path, monkeypatch, capsys):
    """Killed, or out of memory: the classifier, hours of work, is there."""
    out, trained = tmp_path / "wf", []
    command = [*UNTRAIN, "--out", str(out)]
    train = training.pretrained
    monkeypatch.setattr(training, "pretrained", lambda *args, **more: trained.append(1) or train(*args, **more))
    monkeypatch.setattr("wfviz.pretraining.spec_for", lambda backbone, spec, pictures: spec.filled(optimizer="adamw", lr=1e-3, weight_decay=0.0, epochs=1))
    with monkeypatch.context() as killed:
        killed.setattr(untraining, "untrain", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            main(command)
    digest = checkpoints.read_card(out)["digests"]["backbone"]
    assert untraining.begun(out) and trained == [1]
    assert main(command) == 2 and "already holds a run" in capsys.readouterr().err
    assert main([*command, "--resume", "--seed", "1"]) == 0 and trained == [1]
    card = checkpoints.read_card(out)
    assert card["data"]["seed"] == 0  # the validation split is that of the network
    assert card["untraining"]["state"] == "done" and card["digests"]["backbone"] == digest and not untraining.begun(out)
    assert main([*command, "--resume"]) == 2 and "is finished" in capsys.readouterr().err


def test_what_has_begun(tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "wf")
    card = checkpoints.read_card(tmp_path / "wf")

    def said(**changes) -> bool:
        (tmp_path / "wf" / checkpoints.CARD).write_text(json.dumps({**card, **changes}), encoding="utf-8")
        return untraining.begun(tmp_path / "wf")

    assert not said() and said(untraining={"state": "started"}) and said(kind="backbone")
    assert not said(kind="backbone", command="python -m wfviz pretrain") and not untraining.begun(tmp_path)
    assert not said(format=0)  # a card of another version is for others to tell
    (tmp_path / "wf" / untraining.STATE).touch()
    assert not said(untraining={"state": "started"})  # there is a step to go on from


def test_a_network_of_other_classes_is_told(tmp_path):
    """Rows would be learned for one name and shown under another; who trains on may start from other classes."""
    folder = tmp_path / "own"
    shutil.copytree(SHIPPED, folder)
    card = checkpoints.read_card(folder)
    (folder / checkpoints.CARD).write_text(json.dumps({**card, "classes": card["classes"][::-1]}), encoding="utf-8")
    spec, data = BackboneSpec("cnn", 10, 1, 8), load_data("digits")
    with pytest.raises(WfvizError, match="knows other classes than digits, 9 where there is 0"):
        plain_network(folder, spec, data)
    net, _, _ = plain_network(folder, spec, data, same_classes=False)
    assert net.state_dict().keys() == build(spec).state_dict().keys()


def test_everything_but_the_backbone(tmp_path, capsys):
    """The gates alone are stored; the network is found where they were learned around it, if it is still that one."""
    source, whole, out = (tmp_path / name for name in ("classifier", "whole", "wf"))
    shutil.copytree(SHIPPED, source)
    assert main([*UNTRAIN, "--no-backbone", "--out", str(out)]) == 2
    assert "--from" in capsys.readouterr().err and not out.exists()
    assert main([*UNTRAIN, "--from", str(source), "--out", str(whole)]) == 0
    assert main([*UNTRAIN, "--from", str(source), "--no-backbone", "--out", str(out)]) == 0
    assert (out / "wfnet.safetensors").stat().st_size < 0.1 * (whole / "wfnet.safetensors").stat().st_size
    pictures = load_data("digits").test.pixels[:20]
    there, here = (checkpoints.load(folder, "cpu") for folder in (whole, out))
    assert torch.equal(here(normalize(pictures, here.inputs), forget=3), there(normalize(pictures, there.inputs), forget=3))
    assert main(["evaluate", str(out), "--curves", "0", "--device", "cpu"]) == 0
    assert main([*UNTRAIN, "--from", str(source), "--no-backbone", "--half", "--out", str(tmp_path / "short")]) == 0
    assert (tmp_path / "short" / "wfnet.safetensors").stat().st_size < 0.6 * (out / "wfnet.safetensors").stat().st_size
    short = checkpoints.load(tmp_path / "short", "cpu")  # around the same network, which keeps its precision
    torch.testing.assert_close(short(normalize(pictures, short.inputs), forget=3), here(normalize(pictures, here.inputs), forget=3), rtol=1e-2, atol=1e-2)
    capsys.readouterr()
    assert main(["info", str(out)]) == 0 and f"in {source}" in capsys.readouterr().out
    assert main([*UNTRAIN, "--from", str(out), "--no-backbone", "--out", str(tmp_path / "again")]) == 0
    assert checkpoints.read_card(tmp_path / "again")["backbone_from"] == str(source)
    shutil.move(source, tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(["evaluate", str(out)]) == 2
    assert "not the backbone" in capsys.readouterr().err
    assert main(["pretrain", "--dataset", "digits", "--backbone", "cnn", "--device", "cpu", "--epochs", "1", "--out", str(source)]) == 0
    assert main(["evaluate", str(out)]) == 2
    assert "another network" in capsys.readouterr().err


def test_the_folder_of_the_data_holds_for_every_data_set_of_the_process(monkeypatch):
    monkeypatch.setenv("WFVIZ_DATA", "before")
    assert main(["evaluate", "nowhere", "--data-root", "elsewhere"]) == 2 and os.environ["WFVIZ_DATA"] == "before"
    monkeypatch.setattr("sys.argv", ["wfviz", "evaluate", "nowhere", "--data-root", "elsewhere"])
    assert main() == 2 and os.environ["WFVIZ_DATA"] == "elsewhere"


def test_a_network_that_does_not_know_its_pictures(tmp_path, capsys):
    spec = BackboneSpec("cnn", 10, 1, 8)
    WFNet(build(spec), 10).save(tmp_path / "wf", {"backbone": asdict(spec), "data": {"dataset": "digits"}})
    assert main(["evaluate", str(tmp_path / "wf"), "--device", "cpu"]) == 2 and "InputSpec" in capsys.readouterr().err


def test_one_folder_has_many_names(tmp_path, monkeypatch):
    """Pictures that were held out stay so, however their folder is spelt."""
    monkeypatch.chdir(tmp_path)
    for split, n in (("train", 12), ("val", 3)):
        for name in "ab":
            (tmp_path / "own" / split / name).mkdir(parents=True)
            for i in range(n):
                Image.new("L", (8, 8), i).save(tmp_path / "own" / split / name / f"{i}.gif")
    words = ["--backbone", "cnn", "--image-size", "8", "--device", "cpu"]
    assert main(["pretrain", "--dataset", "own", *words, "--epochs", "1", "--seed", "5", "--train-pictures", "10", "--out", "first"]) == 0
    for spelt in ("own", "./own/", str(tmp_path / "own")):
        out = f"wf{len(spelt)}"
        assert main(["untrain", "--dataset", spelt, *words, "--from", "first", "--steps", "1", "--no-evaluate", "--out", out]) == 0
        made = checkpoints.read_card(out)["data"]
        assert (made["seed"], made["train_pictures"]) == (5, 10)


def test_pictures_that_have_changed_are_not_those_of_the_card(tmp_path, capsys):
    folder = tmp_path / "wf"
    shutil.copytree(SHIPPED, folder)
    card = checkpoints.read_card(folder)
    write_json(folder / checkpoints.CARD, {**card, "digests": {**card["digests"], "data": "0" * 64}})
    before = files(folder)
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 2 and "have changed since" in capsys.readouterr().err and files(folder) == before


def test_info_says_what_is_not_done(tmp_path, capsys):
    assert main([*UNTRAIN, "--from", str(SHIPPED), "--out", str(tmp_path / "wf")]) == 0
    card = checkpoints.read_card(tmp_path / "wf")
    for state, said in (("done", 0), ("interrupted", 1)):
        write_json(tmp_path / "wf" / checkpoints.CARD, {**card, "untraining": {**card["untraining"], "state": state}})
        assert main(["info", str(tmp_path / "wf")]) == 0 and capsys.readouterr().out.count("interrupted; the last command with --resume goes on") == said


def test_two_processes_do_not_write_to_one_folder(tmp_path, capsys):
    words = [*UNTRAIN, "--from", str(SHIPPED), "--out", str(tmp_path / "wf")]
    with alone(tmp_path / "wf"):
        assert main(words) == 2 and "another process is writing to" in capsys.readouterr().err and not list(tmp_path.iterdir())
    assert main(words) == 0

"""The page that trains: every control and what it writes into the command, the cards, and the off switch."""

import json
import os
import shutil
import time

import psutil
import pytest
from tests import comparison_fixture
from tests.pages.conftest import ROOT, widget

from wfviz import runs
from wfviz.cli import parser
from wfviz.ui import cached, compared, training

ENTRIES = [
    {"phase": "pretraining", "total": 100, "since": 0, "seconds": 1.0, "step": 50, "loss": 0.7, "val_accuracy": 0.9},
    {"phase": "untraining", "total": 200, "since": 0, "seconds": 2.0, "step": 50, "loss": 1.5, "val_loss": 1.4, "val_acc_r": 0.8, "val_acc_f": 0.3},
]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder for runs."""
    monkeypatch.setenv("WFVIZ_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("WFVIZ_TRAINING", "on")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.fixture
def begun(monkeypatch):
    """Calls of `runs.start`, which starts nothing."""
    calls = []
    monkeypatch.setattr(runs, "start", lambda command, name, root: calls.append((command, name, root)))
    return calls


@pytest.fixture
def made_up(root):
    """`made_up("name", "failed", message="...")`: the folder of a run that was never started."""

    def make(name: str, state: str, age: float = 0.0, command=("untrain", "--dataset", "digits", "--backbone", "cnn"), **status):
        folder = root / name
        folder.mkdir(parents=True)
        (folder / runs.SPEC).write_text(json.dumps({"command": command, "created": time.time() - age}))
        if state in runs.LIVING:
            status |= {"pid": os.getpid(), "born": psutil.Process().create_time()}
        (folder / runs.STATUS).write_text(json.dumps({"state": state, "asked": time.time() - age, **status}))
        (folder / runs.LOG).write_text("".join(json.dumps(entry) + "\n" for entry in ENTRIES))
        (folder / runs.OUTPUT).write_text("the last line it printed\n")
        return folder

    return make


def command(test) -> str:
    return test.code[0].value


def buttons(test) -> list[str]:
    return [button.key for button in test.button if button.key not in ("other", "tour_begin", "docs")]  # the frame's own


def test_command_at_the_start(open_page, shown, root):
    test = open_page("train")
    assert not test.exception and not test.error and not test.warning
    assert command(test) == f"python -m wfviz untrain --dataset digits --backbone cnn --out {root}/digits-cnn-2"
    assert "No run has been started here yet" in shown(test)
    assert buttons(test) == ["start"] and not root.exists()


@pytest.mark.parametrize(
    ("kind", "key", "value", "said"),
    [
        ("selectbox", "dataset", "mnist", "--dataset mnist"),
        ("selectbox", "backbone", "vit_micro", "--backbone vit_micro"),
        ("selectbox", "preset", "paper", "--preset paper"),
        ("number_input", "steps", 50, "--steps 50"),
        ("number_input", "seed", 7, "--seed 7"),
        ("text_input", "run_name", "mine", "runs/mine"),
    ],
)
def test_every_control_is_in_the_command(open_page, root, begun, kind, key, value, said):
    test = open_page("train")
    widget(test, kind, key).set_value(value).run()
    assert not test.exception
    shown_line = command(test)
    assert said in shown_line
    test.button(key="start").click().run()
    ((words, name, where),) = begun
    assert training.Wish(tuple(words), name).line(where) == shown_line
    assert where == root


def test_started_is_what_was_shown(open_page, root, begun):
    test = open_page("train", dataset="mnist", backbone="resnet50", preset="paper", epochs="3", seed="2")
    line = command(test)
    test.button(key="start").click().run()
    ((words, name, where),) = begun
    assert training.Wish(tuple(words), name).line(where) == line
    assert line == f"python -m wfviz untrain --dataset mnist --backbone resnet50 --preset paper --epochs 3 --seed 2 --out {root}/mnist-resnet50"


def test_backbone_alone(open_page, root):
    test = open_page("train", task="backbone")
    assert command(test) == f"python -m wfviz pretrain --dataset digits --backbone cnn --out {root}/digits-cnn-backbone"
    widget(test, "number_input", "backbone_epochs").set_value(4).run()
    assert "--epochs 4" in command(test)
    assert not [w for w in test.selectbox if w.key in ("from", "preset")]


def test_comparison_of_methods(open_page, root, begun, monkeypatch):
    """Every control of the form is in the command, and the command is one that the command line takes."""
    test = open_page("train", **{"task": "comparison", "from": "digits-cnn"})
    start = f"python -m wfviz compare --dataset digits --backbone cnn --from {cached.networks()[0]['digits-cnn'].folder}"
    always = "original,retrain,logit_mask"
    assert command(test) == f"{start} --methods {always},wfnet,random_labels,salun --out {root}/digits-cnn-comparison"
    test.multiselect(key="methods").set_value(["svd"]).run()
    test.multiselect(key="compared_classes").set_value([3, 8]).run()
    widget(test, "number_input", "retrain_epochs").set_value(4).run()
    widget(test, "number_input", "relearn").set_value(0).run()
    words = f"{always},svd --classes 3,8 --set retrain.epochs=4 --relearn 0"
    assert not test.exception and command(test) == f"{start} --methods {words} --out {root}/digits-cnn-comparison"
    test.button(key="start").click().run()
    parser().parse_args([*begun[0][0], "--out", "x"])
    monkeypatch.setattr(training, "_sources", lambda root: {"digits-cnn": ("digits", "cnn", [], [], tuple("9876543210"))})
    assert "--classes 6,1 " in command(test.run())  # where names are numbers, `compare` looks for the names first
    test.multiselect(key="methods").set_value([]).run()
    assert test.button(key="start").disabled
    fresh = open_page("train", task="comparison")  # without a network its classes are not known
    assert not [w for w in fresh.multiselect if w.key == "compared_classes"] and "--from" not in command(fresh)


def test_finished_comparison_says_so_and_leads_to_its_page(open_page, shown, made_up):
    folder = made_up("mine", "done", command=("compare", "--dataset", "digits"))
    comparison_fixture.write(folder)
    test = open_page("train")
    assert not test.exception and "7 methods compared, 42 rows, 1 failed" in shown(test)
    test.button(key="open_mine").click().run()
    assert not test.exception
    assert compared.comparisons()[0][test.session_state["comparison"]].folder == str(folder)


def test_backbone_by_its_name_and_pictures_in_a_folder(open_page, shown, root, tmp_path):
    test = open_page("train", dataset="a folder", backbone="another")
    assert test.button(key="start").disabled and "Name the folder" in shown(test)
    widget(test, "text_input", "folder").set_value(str(tmp_path / "no")).run()
    assert "There is no folder" in shown(test)
    (tmp_path / "my pictures" / "train").mkdir(parents=True)
    widget(test, "text_input", "folder").set_value("my pictures").run()
    assert "needs a folder train/" in shown(test)
    (tmp_path / "my pictures" / "val").mkdir()
    test.run()
    assert "Name the backbone" in shown(test)
    widget(test, "text_input", "other_backbone").set_value("efficientnet_b0").run()
    assert not test.exception and not test.button(key="start").disabled
    assert command(test) == (
        "python -m wfviz untrain --dataset 'my pictures' --backbone efficientnet_b0 --image-size 224"
        f" --out {root}/my-pictures-efficientnet_b0"
    )


def test_start_from_a_checkpoint(open_page, shown, root, begun):
    test = open_page("train")
    widget(test, "selectbox", "from").set_value("digits-cnn").run()
    assert "cnn on digits" in shown(test)
    test.button(key="start").click().run()
    words = begun[0][0]
    assert words[words.index("--from") + 1] == str(ROOT / "checkpoints" / "digits-cnn")


@pytest.mark.parametrize(
    ("link", "said"),
    [({"dataset": "cifer10"}, "did you mean cifar10"), ({"backbone": "../x"}, "unknown backbone"), ({"from": "nowhere"}, "unknown start from"),
     ({"task": "all"}, "unknown what to make"), ({"seed": "-1"}, "from 0 to"), ({"steps": "x"}, "from 1 to")],
    ids=str,
)  # fmt: skip
def test_bad_link(open_page, shown, root, link, said):
    test = open_page("train", **link)
    assert not test.exception
    assert said in shown(test)


def test_data_that_is_not_here_is_marked_and_not_fetched(open_page, shown, root, tmp_path, monkeypatch):
    monkeypatch.setenv("WFVIZ_DATA", str(tmp_path / "data"))
    assert "cifar10 is not on this machine yet" in shown(open_page("train", dataset="cifar10"))
    assert not (tmp_path / "data").exists()
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    assert "not on this machine" not in shown(open_page("train", dataset="cifar10"))


@pytest.mark.parametrize("name", ["../out", "a/b", ".x", "a b"])
def test_names_that_are_none(open_page, shown, root, name):
    test = open_page("train")
    widget(test, "text_input", "run_name").set_value(name).run()
    assert not test.exception
    assert "is no name for a run" in shown(test) and test.button(key="start").disabled


def test_what_cannot_be_started_says_why(open_page, root):
    test = open_page("train")
    widget(test, "text_input", "run_name").set_value("taken").run()
    (root / "taken").mkdir(parents=True)
    test.button(key="start").click().run()
    assert "There is a run taken already" in test.error[0].value
    assert not test.run().error


def test_cards_of_all_states(open_page, shown, made_up):
    made_up("first", "failed", age=4000, message="there is no folder x")
    made_up("second", "interrupted", age=300, message="cancelled")
    made_up("third", "running", age=30)
    made_up("fourth", "queued")
    test = open_page("train")
    assert not test.exception
    said = shown(test)
    assert "4 runs: 1 under way, 1 waiting, 1 interrupted, 1 failed." in said
    names = [line.strip("*") for line in said.splitlines() if line.startswith("**")]
    assert [n for n in names if n in ("first", "second", "third", "fourth")] == ["fourth", "third", "second", "first"]
    assert "There is no folder x." in said and "hour ago" in said and "5 minutes ago" in said
    assert buttons(test) == ["start", "cancel_fourth", "cancel_third", "resume_second", "resume_first"]
    bars = test.get("progress")
    assert [bar.value for bar in bars] == [0, 25]
    assert "waits for 1 run before it" in bars[0].text and "untraining: 25 %, 6 s left" in bars[1].text.replace("\u00a0", " ")
    alts = [chart.proto.alt for chart in test.get("plotly_chart")]
    assert sum("Untraining, step 50 of 200: loss 1.5, Acc_r 80.0 % ↑, Acc_f 30.0 % ↓" in alt for alt in alts) == 2


def test_output_and_earlier_curves_are_folded_away(open_page, made_up):
    made_up("run", "failed", message="no")
    test = open_page("train")
    assert not [c for c in test.code if "the last line" in c.value]
    test.session_state["more_run"] = True
    test.run()
    assert not test.exception
    assert "the last line it printed" in test.code[-1].value
    assert [c.proto.alt[:11] for c in test.get("plotly_chart")][-2:] == ["Untraining,", "Pretraining"]


def test_cancel_and_resume_reach_the_run(open_page, made_up, monkeypatch):
    done = []
    monkeypatch.setattr(runs, "stop", lambda folder: done.append(("stop", folder.name)))
    monkeypatch.setattr(runs, "resume", lambda folder: done.append(("resume", folder.name)))
    made_up("living", "running")
    made_up("resting", "interrupted", age=9)
    test = open_page("train")
    test.button(key="cancel_living").click().run()
    test.button(key="resume_resting").click().run()
    assert not test.exception and done == [("stop", "living"), ("resume", "resting")]


def test_asked_to_stop(open_page, made_up, monkeypatch):
    done = []
    monkeypatch.setattr(runs, "cancel", lambda folder, patience: done.append((folder.name, patience)))
    (made_up("living", "running") / runs.STOP).touch()
    test = open_page("train")
    assert buttons(test) == ["start", "end_living"]
    test.button(key="end_living").click().run()
    assert not test.exception and done == [("living", 0)]


def test_finished_run_says_its_result_and_opens(open_page, shown, made_up, root):
    folder = made_up("mine", "done")
    shutil.copytree(ROOT / "checkpoints" / "digits-cnn", folder, dirs_exist_ok=True)
    shutil.copytree(folder, root / "other")
    test = open_page("train", checkpoints=root, network="other")
    assert not test.exception
    assert "On test pictures, over all forgotten classes: Acc_r" in shown(test)
    test.button(key="open_mine").click().run()
    assert not test.exception
    assert widget(test, "selectbox", "network").value == "mine"
    assert "open_mine" not in buttons(test) and [link.label for link in test.get("page_link")] == ["Look at it"]


def test_finished_backbone_becomes_the_start(open_page, made_up, root):
    folder = made_up("mine", "done", command=("pretrain", "--dataset", "digits", "--backbone", "cnn"))
    shutil.copytree(ROOT / "checkpoints" / "digits-cnn", folder, dirs_exist_ok=True)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "kind": "backbone"}))
    test = open_page("train")
    test.button(key="use_mine").click().run()
    assert not test.exception
    assert widget(test, "selectbox", "from").value == "mine"
    assert f"--from {os.path.relpath(folder)}" in command(test)


def test_first_network_can_be_trained_where_there_is_none(open_page, shown, root, tmp_path):
    test = open_page("train", checkpoints=tmp_path / "empty")
    assert not test.exception
    assert "There is no network yet" in shown(test)
    assert "python -m wfviz untrain" in test.code[-1].value


@pytest.mark.parametrize("word", ["off", "OFF", "0", "false", "no"])
def test_switched_off(open_page, shown, root, made_up, monkeypatch, word):
    made_up("run", "interrupted")
    monkeypatch.setenv("WFVIZ_TRAINING", word)
    test = open_page("train", dataset="a folder")
    assert not test.exception
    assert "Training is switched off on this server" in shown(test)
    assert "--dataset FOLDER" in command(test)
    assert not buttons(test) and "interrupted" not in shown(test)
    widget(test, "text_input", "folder").set_value("/etc").run()
    assert not [text for text in ("no folder", "needs a folder") if text in shown(test)]  # it tells nobody what is on its disk


def test_nothing_starts_once_it_is_switched_off(open_page, root, begun, monkeypatch):
    """Not even by a button that was shown before."""
    test = open_page("train")
    monkeypatch.setenv("WFVIZ_TRAINING", "off")
    test.button(key="start").click().run()
    assert begun == [] and not root.exists()

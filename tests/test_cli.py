"""The command line end to end on digits, what it does with bad input, and how it is interrupted."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import wfviz
from wfviz import backbones, checkpoints, pretraining, untraining
from wfviz.backbones import CNN
from wfviz.cli import main
from wfviz.data import load_data
from wfviz.errors import WfvizError
from wfviz.metrics.accuracy import PARTS
from wfviz.pictures import normalize

ROOT = Path(__file__).parents[1]
DIGITS = ["--dataset", "digits", "--backbone", "cnn", "--device", "cpu"]
SHORT = [*DIGITS, "--steps", "4", "--batch-size", "16", "--curves", "2"]


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """From nothing to a WF-Net: `classifier`, and `wfnet` made from it."""
    root = tmp_path_factory.mktemp("runs")
    assert main(["pretrain", *DIGITS, "--epochs", "25", "--out", str(root / "classifier")]) == 0
    assert main(["untrain", *DIGITS, "--from", str(root / "classifier"), "--steps", "150", "--curves", "5", "--out", str(root / "wfnet")]) == 0
    return root


# --- end to end ---------------------------------------------------------------------------------


def test_digits_from_nothing_to_a_network_that_forgets(trained):
    card = checkpoints.read_card(trained / "wfnet")
    for split, pictures in (("test", 360), ("train", 1294)):
        made = card["metrics"][split]
        assert made["pictures"] == pictures and made["accuracy"] >= 0.95
        assert made["acc_f"]["mean"] <= 0.02 and made["acc_f"]["worst"] <= 0.08
        assert made["acc_r"]["mean"] >= 0.95 and made["acc_r_change"]["mean"] >= -0.03
    assert card["curves"]["insertion"]["gates"]["mean"] > card["curves"]["insertion"]["random"]["mean"]


def test_the_card_holds_what_was_measured(trained):
    """The accuracy of the stored network, picture by picture, is what its card says."""
    net, data = wfviz.load(trained / "wfnet", "cpu"), load_data("digits")
    x, y = normalize(data.test.take(torch.arange(len(data.test))), net.inputs), data.test.labels
    made = checkpoints.read_card(trained / "wfnet")["metrics"]["test"]
    assert made["accuracy"] == pytest.approx((net(x).argmax(1) == y).float().mean().item())
    forgotten, kept = [], []
    for c in range(10):
        right = net(x, forget=c).argmax(1) == y
        forgotten.append(right[y == c].float().mean().item())
        kept.append(right[y != c].float().mean().item())
    assert made["acc_f"]["mean"] == pytest.approx(np.mean(forgotten)) and made["acc_r"]["mean"] == pytest.approx(np.mean(kept))
    assert made["acc_r"]["worst_class"] == str(int(np.argmin(kept)))


def test_untraining_leaves_the_classifier_as_it_was(trained):
    before, after = (load_file(trained / name / checkpoints.WEIGHTS) for name in ("classifier", "wfnet"))
    assert before.keys() == {key for key in after if key.startswith("backbone.")}
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_cards_tell_how_they_were_made(trained):
    classifier, wfnet = (checkpoints.read_card(trained / name) for name in ("classifier", "wfnet"))
    assert (classifier["kind"], wfnet["kind"]) == ("backbone", "wfnet")
    assert wfnet["command"].startswith("python -m wfviz untrain --dataset digits --backbone cnn") and wfnet["seed"] == 0
    assert wfnet["pretraining"] == classifier["pretraining"] and wfnet["pretraining"]["epochs"] == 25
    assert wfnet["untraining"]["steps"] == 150 and wfnet["untraining"]["state"] == "done" and wfnet["untraining"]["lambda_forget"] == 1.0
    assert classifier["digests"]["data"] == wfnet["digests"]["data"] == load_data("digits").digest()
    assert not list(trained.rglob(".*")) and not list(trained.rglob("*training.safetensors"))


def test_every_phase_leaves_a_log(trained):
    for name, phase in (("classifier", "pretraining"), ("wfnet", "untraining")):
        lines = [json.loads(line) for line in (trained / name / "log.jsonl").read_text().splitlines()]
        assert {line["phase"] for line in lines} == {phase} and lines[-1]["step"] == lines[-1]["total"]


def test_info_and_evaluate(trained, capsys, tmp_path):
    code, out, _ = run(capsys, "info", trained / "wfnet")
    assert code == 0 and "cnn on digits, 10 classes (wfnet)" in out and "Acc_f" in out and "python -m wfviz pretrain" in out and "seed          0" in out
    assert run(capsys, "info", trained / "classifier")[0] == 0
    again = tmp_path / "again"
    shutil.copytree(trained / "wfnet", again)
    (again / checkpoints.EVALUATION).unlink()
    before = checkpoints.read_card(trained / "wfnet")
    (again / checkpoints.CARD).write_text(json.dumps({**before, "metrics": {"train": before["metrics"]["train"]}}))
    code, out, _ = run(capsys, "evaluate", again, "--device", "cpu", "--curves", 0, "--json", tmp_path / "new" / "numbers.json")
    card = checkpoints.read_card(again)
    assert code == 0 and "test" in out and list(card["metrics"].items()) == list(before["metrics"].items())
    numbers = json.loads((tmp_path / "new" / "numbers.json").read_text())
    assert numbers["acc_f"] == before["metrics"]["test"]["acc_f"] and numbers["split"] == "test"
    one, other = (checkpoints.read_evaluation(folder) for folder in (again, trained / "wfnet"))
    assert all(np.array_equal(getattr(one, part)["test"], getattr(other, part)["test"]) for part in PARTS)
    assert run(capsys, "evaluate", again, "--device", "cpu", "--split", "train", "--limit", 1)[0] == 0
    assert checkpoints.read_card(again)["metrics"]["train"]["pictures"] == 1


def test_the_same_seed_makes_the_same_network(capsys, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert run(capsys, "pretrain", *DIGITS, "--epochs", 1, "--seed", seed, "--out", tmp_path / name)[0] == 0
    a, b, c = (load_file(tmp_path / name / checkpoints.WEIGHTS) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a) and not all(torch.equal(a[key], c[key]) for key in a)


def test_a_network_is_trained_further(trained, capsys, tmp_path):
    further = ("pretrain", *DIGITS, "--from", trained / "classifier", "--epochs", 1, "--lr", 1e-4)
    assert run(capsys, *further, "--out", tmp_path / "more")[0] == 0
    card, before = checkpoints.read_card(tmp_path / "more"), checkpoints.read_card(trained / "classifier")
    assert card["pretraining"]["earlier"] == before["pretraining"] and card["pretraining"]["val_accuracy"] >= 0.95  # one epoch alone: 10 %
    assert checkpoints.commands(card) == [before["command"], card["command"]] and "--from" in card["command"]
    out = run(capsys, "info", tmp_path / "more")[1]
    assert before["command"] in out and card["command"] in out
    code, _, err = run(capsys, "pretrain", "--dataset", "digits", "--backbone", "vit_micro", "--from", trained / "classifier", "--out", tmp_path / "other")
    assert code == 2 and "is no wider cnn" in err and not (tmp_path / "other").exists()
    assert run(capsys, *further, "--seed", 1, "--out", tmp_path / "again")[0] == 0  # other orders, but what was held out before stays so
    again = checkpoints.read_card(tmp_path / "again")
    assert (again["seed"], again["data"], again["digests"]["data"]) == (1, before["data"], before["digests"]["data"])
    before = files(trained / "classifier")
    assert run(capsys, *further, "--overwrite", "--out", trained / "classifier")[0] == 2 and files(trained / "classifier") == before


def test_a_row_baked_is_the_row_applied(trained, capsys, tmp_path):
    code, out, _ = run(capsys, "bake", trained / "wfnet", "--forget", "3, 5", "--out", tmp_path / "new" / "net.safetensors")
    assert code == 0 and "without 3, 5" in out
    plain, net, x = CNN(10, 1, 8).eval(), wfviz.load(trained / "wfnet", "cpu"), torch.randn(6, 1, 8, 8)
    plain.load_state_dict(load_file(tmp_path / "new" / "net.safetensors"))
    torch.testing.assert_close(plain(x), net(x, forget=(3, 5)))


def test_other_presets_and_settings(trained, capsys, tmp_path):
    code, _, err = run(
        capsys, "untrain", *SHORT, "--from", trained / "classifier", "--out", tmp_path / "a", "--preset", "paper", "--layers", "conv2, fc*",
        "--lambda-gates", 0.5, "--no-evaluate", "--half", "--precision", "bf16",
    )
    assert code == 0, err
    card = checkpoints.read_card(tmp_path / "a")
    made = card["untraining"]
    assert (made["name"], made["optimizer"], made["lr"], made["lambda_gates"], made["steps"], made["epochs"]) == ("paper", "sgd", 100.0, 0.5, 4, None)
    assert card["layers"] == ["conv2", "fc1", "fc2"] and "metrics" not in card
    assert load_file(tmp_path / "a" / checkpoints.WEIGHTS)["backbone.conv1.weight"].dtype == torch.float16
    assert "no evaluation" in run(capsys, "report", tmp_path / "a", "--out", tmp_path / "r.html")[2]


def test_a_folder_of_pictures(trained, capsys, tmp_path):
    from PIL import Image

    draw = np.random.default_rng(0)
    for part, number in (("train", 6), ("val", 2)):
        for shade, name in ((0, "night"), (120, "day")):
            (tmp_path / "sky" / part / name).mkdir(parents=True)
            for i in range(number):
                Image.fromarray((draw.integers(0, 100, (9, 11, 3)) + shade).astype(np.uint8)).save(tmp_path / "sky" / part / name / f"{i}.png")
    what = ["--dataset", tmp_path / "sky", "--backbone", "cnn", "--image-size", "8", "--device", "cpu"]
    assert run(capsys, "pretrain", *what, "--epochs", 2, "--batch-size", 4, "--out", tmp_path / "a")[0] == 0
    assert run(capsys, "untrain", *what, "--from", tmp_path / "a", "--steps", 3, "--batch-size", 4, "--out", tmp_path / "b")[0] == 0
    net = wfviz.load(tmp_path / "b", "cpu")
    assert net.classes == ("day", "night") and net(net.transform(np.zeros((30, 40, 3), np.uint8))[None], forget=net.class_index("day")).shape == (1, 2)
    assert run(capsys, "evaluate", tmp_path / "b", "--device", "cpu")[0] == 0


# --- bad input ----------------------------------------------------------------------------------

BAD = [
    (["pretrain", "--dataset", "digit", "--backbone", "cnn"], "did you mean digits"),
    (["pretrain", "--dataset", "digits", "--backbone", "cnnn"], "did you mean cnn"),
    (["pretrain", "--dataset", "digits", "--backbone", "resnet19"], "did you mean resnet18"),
    (["pretrain", *DIGITS, "--precision", "f16"], "did you mean"),
    (["pretrain", "--dataset", "digits", "--backbone", "cnn", "--device", "gpu"], "unknown device 'gpu'"),
    (["pretrain", "--dataset", "digits", "--backbone", "squeezenet1_1"], "3 channels"),
    (["untrain", "--dataset", "./none", "--backbone", "cnn"], "no folder"),
    (["untrain", *SHORT, "--preset", "defualt"], "did you mean default"),
    (["untrain", *SHORT, "--optimizer", "adma"], "did you mean adam"),
    (["untrain", *SHORT, "--schedule", "cosinus"], "did you mean cosine"),
    (["untrain", *SHORT, "--layers", "conv9"], "did you mean conv2"),
    (["untrain", *SHORT, "--layers", "fc3"], "head"),
    (["untrain", *SHORT, "--layers", ","], "layer"),
    (["untrain", *SHORT, "--epsilon", "-1"], "epsilon"),
    (["untrain", *SHORT, "--lr", "nan"], "lr"),
    (["untrain", *SHORT, "--from", "nowhere"], "no checkpoint"),
    (["untrain", *SHORT, "--pretrained"], "no pretrained weights"),
    (["untrain", *SHORT, "--resume"], "nothing to resume"),
    (["pretrain", *DIGITS, "--resume"], "nothing to resume"),
    (["pretrain", *DIGITS, "--patch-drop", "0.5"], "hides patches of a ViT"),
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=lambda v: " ".join(v[-2:]) if isinstance(v, list) else "")
def test_bad_input_is_one_line_and_nothing_is_written(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words, "--out", tmp_path / "new" / "out")
    assert code == 2 and out == "" and err.startswith("wfviz: error: ") and err.count("\n") == 1 and said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bake", "{}", "--forget", "cat", "--out", "new/a.safetensors"], "known: 0, 1"), (["bake", "{}", "--forget", "10", "--out", "new/a.safetensors"], "out of range"),
        (["bake", "{}", "--forget", "", "--out", "new/a.safetensors"], "unknown class"), (["bake", "{}", "--forget", "3", "--out", "new/a.pt"], ".onnx"),
        (["bake", "nowhere", "--forget", "3", "--out", "new/a.safetensors"], "no checkpoint"),
        (["evaluate", "nowhere"], "no checkpoint"), (["info", "nowhere"], "no checkpoint"), (["report", "nowhere", "--out", "new/r.html"], "no checkpoint"),
        (["report", "{}", "--forget", "cat", "--out", "new/r.html"], "known: 0, 1"),
        (["untrain", *DIGITS, "--backbone", "vit_micro", "--from", "{}", "--out", "new"], "not vit_micro"),
    ],
    ids=lambda v: " ".join(v[:4]) if isinstance(v, list) else "",
)
def test_bad_input_with_a_checkpoint(words, said, trained, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = files(trained)
    code, out, err = run(capsys, *[word.format(trained / "wfnet") for word in words])
    assert code == 2 and out == "" and err.startswith("wfviz: error: ") and err.count("\n") == 1 and said in err
    assert list(tmp_path.iterdir()) == [] and files(trained) == before


@pytest.mark.parametrize(
    "words",
    [
        [], ["retrain"], ["pretrain"], ["pretrain", *DIGITS], ["pretrain", *DIGITS, "--out", "a", "--epochs", "0"], ["pretrain", *DIGITS, "--out", "a", "--lr", "nan"], ["pretrain", *DIGITS, "--out", "a", "--skip-easy", "1"], ["pretrain", *DIGITS, "--out", "a", "--patch-drop", "1"],
        ["pretrain", *DIGITS, "--out", "a", "--seed", "-1"], ["pretrain", *DIGITS, "--out", "a", "--seed", str(2**40)], ["pretrain", *DIGITS, "--out", "a", "--weight-decay", "inf"],
        ["untrain", *DIGITS, "--out", "a", "--steps", "x"], ["untrain", *DIGITS, "--out", "a", "--resume", "--overwrite"], ["untrain", *DIGITS, "--out", "a", "--curves", "-1"], ["untrain", *DIGITS, "--out", "a", "--steps", "3", "--epochs", "1"], ["untrain", *DIGITS, "--out", "a", "--from", "b", "--pretrained"], ["untrain", *DIGITS, "--out", "a", "--overw"],
        ["evaluate", "a", "--split", "val"], ["bake", "a", "--out", "b"],
    ],
    ids=lambda v: " ".join(v[-2:]) or "nothing",
)
def test_what_the_parser_refuses(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2 and "error: " in capsys.readouterr().err.splitlines()[-1] and list(tmp_path.iterdir()) == []


def test_damaged_checkpoints_stay_as_they_are(trained, capsys, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(trained / "wfnet", broken)
    (broken / checkpoints.WEIGHTS).write_bytes((broken / checkpoints.WEIGHTS).read_bytes()[:-5])
    before = files(tmp_path)
    for words in (["evaluate", broken, "--device", "cpu"], ["bake", broken, "--forget", 1, "--out", tmp_path / "a.safetensors"], ["untrain", *SHORT, "--from", broken, "--out", tmp_path / "b"]):
        code, _, err = run(capsys, *words)
        assert code == 2 and err.count("\n") == 1 and "cut off" in err
    assert files(tmp_path) == before


def test_nothing_is_written_over_unasked(trained, capsys, tmp_path):
    kept = tmp_path / "kept"
    shutil.copytree(trained / "wfnet", kept)
    before = files(kept)
    for command in ("pretrain", "untrain"):
        code, _, err = run(capsys, command, *DIGITS, "--out", kept)
        assert code == 2 and "--overwrite" in err and err.count("\n") == 1
        code, _, err = run(capsys, command, *DIGITS, "--out", kept, "--resume")
        assert code == 2 and "nothing to resume" in err
    (tmp_path / "file").write_text("mine")
    code, _, err = run(capsys, "pretrain", *DIGITS, "--out", tmp_path / "file")
    assert code == 2 and "is a file" in err
    code, _, err = run(capsys, "pretrain", *DIGITS, "--out", tmp_path / "file" / "below")
    assert code == 2 and err.count("\n") == 1 and "is a file" in err
    assert files(kept) == before and (tmp_path / "file").read_text() == "mine"
    assert run(capsys, "untrain", *SHORT, "--from", trained / "classifier", "--out", kept, "--overwrite", "--no-evaluate")[0] == 0
    assert files(kept) != before and not (kept / checkpoints.EVALUATION).exists()  # the old one judged other gates


@pytest.mark.parametrize("command", ["pretrain", "untrain"])
def test_a_missing_data_set_without_network(command, capsys, tmp_path, no_network):
    code, _, err = run(capsys, command, "--dataset", "cifar10", "--backbone", "cnn", "--out", tmp_path / "out", "--data-root", tmp_path / "data")
    assert code == 2 and err.count("\n") == 1 and "--data-root" in err and list(tmp_path.iterdir()) == []


# --- interrupted --------------------------------------------------------------------------------


def start(*words: object, **how) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "wfviz", *map(str, words)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def interrupted(folder: Path, phase: str, *words: object) -> str:
    """Ctrl-C once the log of `folder` has an entry of `phase`; what was said on stderr."""
    process = start(*words, "--out", folder)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            if (folder / "log.jsonl").exists() and re.search(rf'"{phase}".*"loss"', (folder / "log.jsonl").read_text()):
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.05)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in err
    return err.splitlines()[-1]


def test_ctrl_c_leaves_a_usable_checkpoint_and_resume_finishes(trained, capsys, tmp_path):
    folder = tmp_path / "a folder"
    words = ["untrain", *DIGITS, "--from", trained / "classifier", "--steps", "150", "--curves", "5"]
    said = interrupted(folder, "untraining", *words)
    assert checkpoints.read_card(folder)["untraining"]["state"] == "interrupted"
    net = wfviz.load(folder, "cpu")
    assert 50 <= checkpoints.read_card(folder)["untraining"]["steps"] < 150 and net(torch.zeros(2, 1, 8, 8), forget=1).shape == (2, 10)
    assert run(capsys, "evaluate", folder, "--device", "cpu", "--curves", 0, "--limit", 50)[0] == 0
    code, _, err = run(capsys, "untrain", *SHORT, "--from", trained / "classifier", "--out", folder, "--resume")
    assert code == 2 and "other settings" in err
    resume = shlex.split(said.partition("go on with: ")[2])
    assert resume[:3] == ["python", "-m", "wfviz"] and run(capsys, *resume[3:])[0] == 0
    one, other = (load_file(path / checkpoints.WEIGHTS) for path in (folder, trained / "wfnet"))
    assert all(torch.equal(one[key], other[key]) for key in other)  # as if it had never been interrupted
    assert checkpoints.read_card(folder)["metrics"] == checkpoints.read_card(trained / "wfnet")["metrics"]


def test_half_the_precision_is_for_what_is_finished(trained, capsys, tmp_path, monkeypatch):
    """An interrupted run goes on from what it froze, not from that rounded to float16."""
    words = ("untrain", *SHORT, "--from", trained / "classifier", "--half", "--no-evaluate", "--out")
    monkeypatch.setitem(untraining.SCHEDULES, "cosine", lambda step, _: (step == 1 and signal.raise_signal(signal.SIGINT)) or 1.0)
    assert [run(capsys, *words, tmp_path / "a", *more)[0] for more in ([], ["--resume"])] == [130, 0]
    monkeypatch.setitem(untraining.SCHEDULES, "cosine", lambda *_: 1.0)
    assert run(capsys, *words, tmp_path / "b")[0] == 0
    parts, whole = (load_file(tmp_path / name / checkpoints.WEIGHTS) for name in "ab")
    assert all(torch.equal(parts[key], whole[key]) for key in whole) and whole["backbone.conv1.weight"].dtype == torch.float16


def test_ctrl_c_while_the_classifier_is_trained_first(capsys, tmp_path, monkeypatch):
    """`untrain` without --from: interrupted in its first step, resumed, and both halves are done."""
    monkeypatch.setitem(backbones._registry, "cnn", replace(backbones.recipe("cnn"), epochs=3, least_steps=1))
    monkeypatch.chdir(tmp_path)
    rise = pretraining.one_cycle
    monkeypatch.setattr(pretraining, "one_cycle", lambda *_: signal.raise_signal(signal.SIGINT) or 1.0)
    code, _, err = run(capsys, "untrain", *SHORT, "--data-root", "un used", "--out", "out")
    assert code == 130 and checkpoints.read_card("out")["kind"] == "backbone"
    monkeypatch.setattr(pretraining, "one_cycle", rise)
    resume = shlex.split(err.splitlines()[-1].partition("go on with: ")[2])
    assert "un used" in resume
    code, _, err = run(capsys, *resume[3:])
    assert code == 0, err
    card = checkpoints.read_card("out")
    assert (card["kind"], card["pretraining"]["state"], card["untraining"]["state"]) == ("wfnet", "done", "done")
    phases = [json.loads(line)["phase"] for line in Path("out/log.jsonl").read_text().splitlines()]
    assert phases == sorted(phases) and set(phases) == {"pretraining", "untraining"}


def test_a_result_that_could_not_be_saved_is_not_lost(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(backbones._registry, "cnn", replace(backbones.recipe("cnn"), epochs=1, least_steps=1))
    words = ["pretrain", *DIGITS, "--out", tmp_path / "out"]

    def full(*_, **__):
        raise WfvizError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", full)
        code, _, err = run(capsys, *words)
    assert code == 2 and "the disk is full" in err and not (tmp_path / "out" / checkpoints.CARD).exists()
    assert run(capsys, *words, "--resume")[0] == 0 and not (tmp_path / "out" / pretraining.STATE).exists()
    assert checkpoints.read_card(tmp_path / "out")["pretraining"]["epochs"] == 1


# --- several processes --------------------------------------------------------------------------


def test_two_processes_make_and_evaluate_a_checkpoint(trained, capsys, tmp_path):
    """Over gloo; where there is no GPU `accelerate launch` starts one process only, torch's own launcher two."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "wfviz"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["untrain", *DIGITS, "--from", str(trained / "classifier"), "--steps", "40", "--curves", "0", "--limit", "100", "--out", str(tmp_path / "both")]
    done = subprocess.run(launch + words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Acc_r (higher is better)") == 1 and f"/{360 // 2 * 11} " in done.stderr  # half of the work each
    both = tmp_path / "both"
    card = checkpoints.read_card(both)
    assert card["metrics"]["test"]["pictures"] == 360 and card["metrics"]["train"]["pictures"] == 100
    assert card["metrics"]["test"]["acc_f"]["mean"] < 0.5 and card["metrics"]["test"]["acc_r"]["mean"] > 0.9
    found = checkpoints.read_evaluation(both)
    assert run(capsys, "evaluate", both, "--device", "cpu", "--curves", 0)[0] == 0
    alone = checkpoints.read_evaluation(both)
    for part in PARTS:
        assert np.array_equal(getattr(found, part)["test"], getattr(alone, part)["test"])

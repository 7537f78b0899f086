"""`compare` on digits: what is measured, what is kept, what is told when something fails."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from wfviz import backbones, checkpoints, comparing, methods, pretraining, training
from wfviz.cli import main
from wfviz.comparisons import COMPARISON
from wfviz.data import load_data
from wfviz.methods import registry, retrain
from wfviz.pictures import normalize
from wfviz.specs import BackboneSpec

DIGITS = Path(__file__).parents[1] / "checkpoints" / "digits-cnn"
COMPARE = ["compare", "--dataset", "digits", "--backbone", "cnn", "--device", "cpu", "--from", str(DIGITS)]
PLUGIN = """
import torch
from wfviz.methods import method

@method("zero_head", "Zero the head", source="a test", factor=0.0)
def unlearn(model, forget, data, spec, progress):
    if 5 in forget:
        raise {error}
    with torch.no_grad():
        model.fc3.weight *= spec.factor
        model.fc3.bias *= spec.factor
    return model
"""


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """Methods that a test registers are gone after it."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))


@pytest.fixture
def runs(monkeypatch):
    """Which (method, class) really ran."""
    done, run = [], registry.Method.run

    def counted(self, model, forget, *args, **kwargs):
        done.append((self.name, *forget))
        return run(self, model, forget, *args, **kwargs)

    monkeypatch.setattr(registry.Method, "run", counted)
    return done


def compared(folder: Path) -> dict:
    return json.loads((folder / COMPARISON).read_text(encoding="utf-8"))


def test_a_comparison(tmp_path, runs, capsys, monkeypatch):
    """Original, retrained, a control and one of somebody's own, which fails on a class: all told, nothing done twice."""
    out, plugin = tmp_path / "out", tmp_path / "mine.py"
    plugin.write_text(PLUGIN.format(error="ValueError('not with a 5')"))
    command = [
        *COMPARE, "--plugin", str(plugin), "--methods", "original,zero_head,logit_mask,retrain", "--classes", "3,5", "--relearn", "2",
        "--set", "retrain.epochs=2", "--set", "zero_head.factor=0", "--out", str(out),
    ]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "Zero the head" in printed and "1 failed" in printed
    assert sorted(runs) == sorted((name, c) for name in ("original", "zero_head", "logit_mask", "retrain") for c in (3, 5))
    found = compared(out)
    assert found["methods"] == ["original", "zero_head", "logit_mask", "retrain"] and found["classes"] == list("0123456789")
    assert [(r["method"], r["forget"]) for r in found["rows"]] == [(m, c) for m in found["methods"] for c in (3, 5)]
    rows = {(r["method"], r["forget"]): r for r in found["rows"]}
    failed = rows.pop(("zero_head", 5))
    assert failed["state"] == "failed" and failed["error"] == "ValueError: not with a 5" and "splits" not in failed
    judged_as_by_hand(rows)

    runs.clear()
    assert main(command) == 0
    assert runs == [("zero_head", 5)]  # what failed is tried again, nothing else
    next((out / "rows").glob("logit_mask-3-*")).write_text("{")  # cut off
    runs.clear()
    first = found["machine"]
    monkeypatch.setattr("wfviz.comparing.os.cpu_count", lambda: 77)
    assert main([*command, "--resume"]) == 0
    assert sorted(runs) == [("logit_mask", 3), ("zero_head", 5)]
    assert compared(out)["machine"] == f"{first}; 77 cores, cpu"  # on another machine some of the seconds are others
    runs.clear()
    assert main([*command, "--methods", "orginal", "--overwrite"]) == 2 and len(list((out / "rows").iterdir())) == 7  # errors lose nothing
    shorter = [word for word in command if word not in ("--set", "retrain.epochs=2", "zero_head.factor=0")]
    assert main([*shorter, "--methods", "original,logit_mask", "--overwrite"]) == 0
    assert len(runs) == 4 and len(compared(out)["rows"]) == 4 and not list((out / "models").glob("*"))


def judged_as_by_hand(rows: dict) -> None:
    card, data = checkpoints.read_card(DIGITS), load_data("digits")
    plain = checkpoints.load_backbone(DIGITS, BackboneSpec.from_dict(card["backbone"])).eval()
    x, y = normalize(data.test.take(torch.arange(len(data.test))), data.inputs), data.test.labels
    for c in (3, 5):
        original, masked, retrained = (rows[name, c] for name in ("original", "logit_mask", "retrain"))
        with torch.no_grad():
            logits = plain(x)
        counted = np.zeros((10, 10), int)
        for true, guess in zip(y.tolist(), logits.argmax(1).tolist(), strict=True):
            counted[true, guess] += 1
        assert original["splits"]["test"]["confusion"] == counted.tolist()
        assert original["splits"]["test"]["acc_f"] == pytest.approx(counted[c, c] / counted[c].sum(), abs=1e-5)
        rest = np.delete(np.arange(10), c)
        assert original["splits"]["test"]["acc_r"] == pytest.approx(counted[rest, rest].sum() / counted[rest].sum(), abs=1e-5)
        logits[:, c] = -1e4
        assert np.diag(masked["splits"]["test"]["confusion"]).sum() == (logits.argmax(1) == y).sum().item()
        assert masked["splits"]["test"]["acc_f"] == masked["splits"]["train"]["acc_f"] == 0
        assert original["js_original"] == 0 and retrained["js"] == 0 and original["js"] > 0 and masked["js_original"] > 0
        assert min(original["cka"].values()) == pytest.approx(1) and min(retrained["cka"].values()) < 0.99
        assert masked["cka"]["features"] == pytest.approx(1) and masked["probe"] == original["probe"]  # nothing changes inside
        assert original["relearn"]["epochs"] == 0 and retrained["relearn"]["accuracy"][0] == 0 and "relearn" not in masked
        assert original["relearn"]["lr"] == retrained["relearn"]["lr"] == 1e-3  # the largest that harms no original
        assert original["bytes"] == 0 < masked["bytes"] < retrained["bytes"] and retrained["seconds"] > original["seconds"]
        assert retrained["map"]["labels"] == original["map"]["labels"] and len(original["map"]["x"]) == 200
    assert rows["zero_head", 3]["over_forgetting"] and not rows["logit_mask", 3]["over_forgetting"]
    assert rows["zero_head", 3]["f1"] < 0.1 < 0.9 < rows["original", 3]["f1"]


def test_three_seeds_attack_with_shadow_models(tmp_path, runs):
    """LiRA needs two networks of other seeds that never saw the class; each is trained once."""
    out = tmp_path / "out"
    command = [*COMPARE, "--methods", "original,retrain", "--set", "retrain.epochs=1", "--classes", "4", "--relearn", "0", "--out", str(out)]
    assert main([*command, "--seeds", "0,1,2"]) == 0
    assert sorted(runs) == [("original", 4)] * 3 + [("retrain", 4)] * 3
    rows = compared(out)["rows"]
    assert len(rows) == 6 and all(0 <= r["attack"]["lira"] <= 1 for r in rows)
    assert len({r["attack"]["lira"] for r in rows if r["method"] == "original"}) > 1  # beside other shadows
    assert main([*command, "--seeds", "0"]) == 0
    assert all("lira" not in r["attack"] for r in compared(out)["rows"])


def test_an_interrupted_comparison_goes_on(tmp_path, runs, capsys):
    out, plugin = tmp_path / "out", tmp_path / "mine.py"
    command = [*COMPARE, "--plugin", str(plugin), "--methods", "zero_head", "--classes", "2,5,7", "--relearn", "0", "--out", str(out)]
    plugin.write_text(PLUGIN.format(error="KeyboardInterrupt"))
    assert main(command) == 130
    assert "--resume" in capsys.readouterr().err
    assert [r["forget"] for r in compared(out)["rows"]] == [2]
    plugin.write_text(PLUGIN.format(error="KeyboardInterrupt").replace("if 5 in forget", "if not forget"))
    runs.clear()
    assert main([*command, "--resume"]) == 0
    assert [r["forget"] for r in compared(out)["rows"]] == [2, 5, 7]
    assert runs == [("zero_head", 2), ("zero_head", 5), ("zero_head", 7)]  # its text is another: an own method that was rewritten


def test_an_interrupted_retraining_goes_on(tmp_path, runs, monkeypatch):
    """It takes the steps that are left, ends where one without interruption ends, and its seconds are those of all parts."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    command = [*COMPARE, "--methods", "retrain", "--set", "retrain.epochs=2", "--classes", "3", "--relearn", "0", "--out"]
    rates, shares, cycle, reach = [], [], pretraining.one_cycle, training.Log.reach

    def stops_once(step, total):
        rates.append(step)
        if step == 4:
            signal.raise_signal(signal.SIGINT)
        return cycle(step, total)

    monkeypatch.setattr(training.Log, "reach", lambda log, done: (shares.append(done), reach(log, done)))
    with monkeypatch.context() as stopped:
        stopped.setattr(pretraining, "one_cycle", stops_once)
        assert main([*command, str(out)]) == 130
    state, = (out / "models").iterdir()
    before = pretraining.seconds_of(state)
    assert rates == [0, 1, 2, 3, 4] and 0 < shares[-1] < 1 and before > 0
    monkeypatch.setattr(pretraining, "one_cycle", lambda step, total: rates.append(step) or cycle(step, total))
    assert main([*command, str(out), "--resume"]) == 0
    again, rates[:] = list(rates), []
    assert main([*command, str(whole)]) == 0
    assert again == rates and shares[-1] == 1
    (one, a), (other, b) = ((next((folder / "models").iterdir()), compared(folder)["rows"][0]) for folder in (out, whole))
    assert one.is_file() and one.name == other.name and a["splits"] == b["splits"] and a["seconds"] > before
    tensors = load_file(one), load_file(other)
    assert all(torch.equal(value, tensors[1][key]) for key, value in tensors[0].items() if key != "seconds")


def test_an_original_that_was_interrupted_is_trained_to_its_end(tmp_path, capsys, monkeypatch):
    """Without --from the original is trained first; half of it is no original, neither here nor for another command."""
    monkeypatch.setitem(backbones._registry, "cnn", replace(backbones.recipe("cnn"), epochs=2, least_steps=1))
    out = tmp_path / "out"
    command = ["compare", "--dataset", "digits", "--backbone", "cnn", "--device", "cpu", "--methods", "original", "--classes", "3", "--relearn", "0", "--out", str(out)]
    with monkeypatch.context() as stopped:
        stopped.setattr(pretraining, "one_cycle", lambda *_: signal.raise_signal(signal.SIGINT) or 1.0)
        assert main(command) == 130
    half = ["untrain", *command[1:7], "--from", str(out / "original"), "--out", str(tmp_path / "new")]
    assert main(half) == 2 and "was interrupted; go on with it first: python -m wfviz compare" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    made = checkpoints.read_card(out / "original")["pretraining"]
    assert (made["state"], made["epochs"]) == ("done", 2) and not (out / "original" / pretraining.STATE).exists()


def test_rows_without_their_reference_are_done_again(tmp_path, runs, monkeypatch):
    """Where the retrained network failed, the others are judged without it; once it is there, beside it."""
    out = tmp_path / "out"
    command = [*COMPARE, "--methods", "retrain,logit_mask", "--set", "retrain.epochs=1", "--classes", "4", "--relearn", "0", "--out", str(out)]
    with monkeypatch.context() as broken:
        broken.setattr(retrain, "pretrain", lambda *_, **__: 1 / 0)
        assert main(command) == 0
    assert [(r["method"], r["state"], r.get("js")) for r in compared(out)["rows"]] == [("retrain", "failed", None), ("logit_mask", "done", None)]
    assert main([*command, "--resume"]) == 0
    assert all(r["state"] == "done" and r["js"] is not None for r in compared(out)["rows"]) and runs.count(("logit_mask", 4)) == 2


def test_a_longer_comparison_loses_no_row_on_the_way(tmp_path, runs):
    """What is finished stays in the file while another method is made, also if that is interrupted."""
    out, plugin = tmp_path / "out", tmp_path / "mine.py"
    plugin.write_text(PLUGIN.format(error="KeyboardInterrupt"))
    command = [*COMPARE, "--classes", "3,5", "--relearn", "0", "--plugin", str(plugin), "--out", str(out)]
    assert main([*command, "--methods", "original"]) == 0
    assert main([*command, "--methods", "zero_head,original"]) == 130
    assert [(r["method"], r["forget"]) for r in compared(out)["rows"]] == [("zero_head", 3), ("original", 3), ("original", 5)]
    assert runs.count(("original", 5)) == 1


def test_a_retrained_network_is_kept_for_other_measures_and_made_again_where_it_is_lost(tmp_path, runs):
    out = tmp_path / "out"
    command = [*COMPARE, "--set", "retrain.epochs=1", "--classes", "4", "--out", str(out)]
    assert main([*command, "--methods", "retrain", "--relearn", "0"]) == 0
    assert main([*command, "--methods", "retrain", "--relearn", "1"]) == 0 and runs.count(("retrain", 4)) == 1
    model, = (out / "models").iterdir()
    model.unlink()
    assert main([*command, "--methods", "retrain,logit_mask", "--relearn", "1"]) == 0 and runs.count(("retrain", 4)) == 2
    assert compared(out)["rows"][1]["js"] is not None and model.exists()
    assert main([*command, "--methods", "retrain,logit_mask", "--relearn", "1"]) == 0 and runs.count(("retrain", 4)) == 2


def test_a_seed_that_cannot_be_retrained_fails_alone(tmp_path, monkeypatch):
    """LiRA needs two shadow networks: only that seed has them."""
    trained = retrain.pretrain
    command = [*COMPARE, "--methods", "original,retrain", "--set", "retrain.epochs=1", "--classes", "4", "--relearn", "0", "--out", str(tmp_path / "out")]
    with monkeypatch.context() as broken:
        broken.setattr(retrain, "pretrain", lambda data, backbone, how, *rest, **more: 1 / (how.seed - 2) and trained(data, backbone, how, *rest, **more))
        assert main([*command, "--seeds", "0,1,2"]) == 0
    rows = compared(tmp_path / "out")["rows"]
    assert [(r["method"], r["seed"]) for r in rows if r["state"] == "failed"] == [("retrain", 2)]
    assert {r["seed"] for r in rows if "lira" in r.get("attack", {})} == {2}
    assert main([*command, "--seeds", "0,1,2", "--resume"]) == 0
    assert all("lira" in r["attack"] for r in compared(tmp_path / "out")["rows"] if r["method"] == "original")  # judged again


def test_an_original_that_is_there_keeps_its_split(tmp_path, monkeypatch):
    """Another --seed must not make training pictures of the original into validation pictures."""
    monkeypatch.setitem(backbones._registry, "cnn", replace(backbones.recipe("cnn"), epochs=1, least_steps=1))
    seen = []
    monkeypatch.setattr(registry.Method, "run", lambda self, model, forget, data, *rest, **more: seen.append(data.val.pixels) or model)
    command = ["compare", "--dataset", "digits", "--backbone", "cnn", "--device", "cpu", "--methods", "original", "--classes", "3", "--relearn", "0", "--out", str(tmp_path)]
    assert main([*command, "--seed", "0"]) == 0 and main([*command, "--seed", "1", "--overwrite"]) == 0
    assert len(seen) == 2 and torch.equal(*seen)


def test_a_method_of_ones_own_may_have_a_point_in_its_name(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN.format(error="ValueError").replace('"zero_head"', '"zero.v2"'))
    assert main([*COMPARE, "--plugin", str(plugin), "--methods", "zero.v2", "--classes", "3", "--relearn", "0", "--out", str(tmp_path / "out")]) == 0
    assert compared(tmp_path / "out")["rows"][0]["state"] == "done"


def test_once_for_all_classes(tmp_path, monkeypatch):
    """A WF-Net's round is done once, its time told apart, and only the gates are stored for a class."""
    rounds, prepare = [], registry.Method.prepare

    def counted(self, *args, **kwargs):
        rounds.append(self.name)
        return prepare(self, *args, **kwargs)

    monkeypatch.setattr(registry.Method, "prepare", counted)
    out = tmp_path / "out"
    assert main([*COMPARE, "--methods", "wfnet", "--set", "wfnet.steps=60", "--classes", "1,2", "--relearn", "0", "--out", str(out)]) == 0
    rows = compared(out)["rows"]
    assert rounds == ["wfnet"] and len({r["once_seconds"] for r in rows}) == 1 and rows[0]["once_seconds"] > rows[0]["seconds"]
    gates = sum(a.shape[1] for a in checkpoints.load(DIGITS, "cpu").alpha_parameters())
    assert {r["bytes"] for r in rows} == {4 * gates}
    assert all(r["splits"]["test"]["acc_f"] < 0.3 and r["splits"]["test"]["acc_r"] > 0.8 for r in rows)


def test_a_wfnet_that_is_there_is_compared_without_a_round(tmp_path):
    """Its α and the seconds of its round are those of the checkpoint; one around another network fails in its row."""
    command = [*COMPARE, "--methods", "wfnet,logit_mask", "--classes", "3", "--relearn", "0"]
    assert main([*command, "--set", f"wfnet.checkpoint={DIGITS}", "--out", str(tmp_path / "there")]) == 0
    row = compared(tmp_path / "there")["rows"][0]
    assert row["once_seconds"] == pytest.approx(checkpoints.read_card(DIGITS)["untraining"]["seconds"], abs=1e-3)
    data, net = load_data("digits"), checkpoints.load(DIGITS, "cpu")
    with torch.no_grad():
        right = net.bake(3)(normalize(data.test.pixels, data.inputs)).argmax(1) == data.test.labels
    assert row["splits"]["test"]["acc_r"] == pytest.approx(right[data.test.labels != 3].float().mean().item(), abs=1e-5)
    half = tmp_path / "half"
    shutil.copytree(DIGITS, half)
    card = json.loads((half / checkpoints.CARD).read_text(encoding="utf-8"))
    card["untraining"]["state"] = "interrupted"
    (half / checkpoints.CARD).write_text(json.dumps(card), encoding="utf-8")
    for folder, said in ((DIGITS.parent / "digits-vit_micro", "does not stand around the original"), (tmp_path / "none", "none"), (half, "has not come to its end")):
        assert main([*command, "--set", f"wfnet.checkpoint={folder}", "--out", str(tmp_path / "other")]) == 0
        failed, masked = compared(tmp_path / "other")["rows"]
        assert failed["state"] == "failed" and said in failed["error"] and masked["state"] == "done"


def test_variants_of_a_method_stand_beside_each_other(tmp_path, runs):
    out = tmp_path / "out"
    names = ["negative_gradient.steps=1", "negative_gradient.steps=40", "negative_gradient"]
    command = [*COMPARE, "--methods", ",".join(names), "--set", "negative_gradient.steps=2", "--set", "negative_gradient.lr=0.006", "--classes", "3", "--relearn", "0", "--out", str(out)]
    assert main(command) == 0
    rows = compared(out)["rows"]
    assert [(r["method"], r["settings"]["steps"]) for r in rows] == list(zip(names, (1, 40, 2), strict=True))
    assert {r["settings"]["lr"] for r in rows} == {0.006}  # of the method, and of its variants
    assert comparing.check(comparing.Plan(("kga.freeze=1",), (0,), settings={"kga": {"lr": 1e-4}})).keys() == {"kga.freeze=1"}
    assert [r["title"] for r in rows] == ["Negative gradient, steps 1", "Negative gradient, steps 40", "Negative gradient"]
    one, forty, two = (r["splits"]["test"]["acc_f"] for r in rows)
    assert forty < two <= one
    runs.clear()
    assert main(command) == 0 and runs == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--methods", "salum"], "did you mean salun"),
        (["--methods", ""], "at least one method"),
        (["--methods", "original", "--classes", "eleven"], "unknown class 'eleven'"),
        (["--methods", "original", "--classes", "10"], "out of range"),
        (["--methods", "original", "--seeds", "a"], "whole numbers"),
        (["--methods", "original", "--seeds", "0,4294967296"], "whole numbers from 0 up"),
        (["--methods", "original", "--seeds", ","], "at least one method, one class and one seed"),
        (["--methods", "original", "--classes", ","], "at least one method, one class and one seed"),
        (["--methods", "kga.seed=1"], "unknown setting of kga 'seed'"),
        (["--methods", "kga", "--set", "kga.self=1"], "unknown setting of kga 'self'"),
        (["--methods", "random_labels", "--set", "random_labels.lr=NaN"], "lr of random_labels cannot be nan"),
        (["--methods", "random_labels", "--set", "random_labels.steps=-5"], "steps of random_labels cannot be -5"),
        (["--methods", "svd", "--set", "svd.alphas_r=[]"], "alphas_r of svd cannot be []"),
        (["--methods", "original", "--set", "original.lr=1"], "original has no settings"),
        (["--methods", "random_labels", "--set", "random_labels.step=1"], "did you mean steps"),
        (["--methods", "random_labels", "--set", "random_labels.steps=many"], "has to be like 200"),
        (["--methods", "original", "--set", "retrain.epochs=1"], "not among the methods"),
        (["--methods", "original", "--set", "lr=1"], "METHOD.SETTING=VALUE"),
        (["--methods", "original", "--plugin", "nowhere.py"], "there is no file nowhere.py"),
        (["--methods", "original", "--from", "nowhere"], "no checkpoint"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, more, said):
    out = tmp_path / "out"
    assert main([*COMPARE, *more, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not out.exists()


def test_a_checkpoint_is_not_written_over(capsys):
    assert main([*COMPARE, "--methods", "original", "--overwrite", "--out", str(DIGITS)]) == 2
    assert "holds a checkpoint" in capsys.readouterr().err


def test_the_list_of_methods(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--list-methods"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in methods.names()) and "steps=200" in printed


PREPARED = """
from wfviz.methods import method

def once(model, data, spec, progress):
    return model

@method("prepared", "Prepared", source="a test", once=once)
def unlearn(model, forget, data, spec, progress):
    return model
"""


def test_a_rewritten_preparation_or_inner_method_is_done_again(tmp_path, runs):
    """A row depends on more than the function that ends it."""
    inner, outer = tmp_path / "mine.py", tmp_path / "prepared.py"
    command = [*COMPARE, "--plugin", str(inner), "--plugin", str(outer), "--methods", "prepared,rum", "--set", "rum.inner=zero_head"]
    command += ["--classes", "3", "--relearn", "0", "--out", str(tmp_path / "out")]
    mine, rewritten = PLUGIN.format(error="ValueError"), PLUGIN.format(error="ValueError").replace("spec.factor", "0")
    other = PREPARED.replace("return model\n\n", "return model.eval()\n\n")
    for first, second, times in ((mine, PREPARED, (1, 1)), (mine, PREPARED, (1, 1)), (rewritten, PREPARED, (1, 2)), (rewritten, other, (2, 2))):
        inner.write_text(first)
        outer.write_text(second)
        assert main(command) == 0 and all(row["state"] == "done" for row in compared(tmp_path / "out")["rows"])
        assert (runs.count(("prepared", 3)), runs.count(("rum", 3))) == times

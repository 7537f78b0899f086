"""Checkpoint folders: what is written is what is read, and what is damaged is told in one sentence."""

import json
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import wfviz
from wfviz import checkpoints
from wfviz.backbones import CNN, build
from wfviz.checkpoints import CARD, EVALUATION, WEIGHTS
from wfviz.commands import bake, info
from wfviz.errors import WfvizError
from wfviz.files import sha256
from wfviz.filtering import WFNet
from wfviz.metrics.accuracy import PARTS, Evaluation, summary
from wfviz.specs import BackboneSpec

X = torch.rand(5, 1, 8, 8)
ROWS = torch.tensor([3, -1, 0, 9, 3])


def evaluation(n: int = 10) -> Evaluation:
    draw = np.random.default_rng(0)
    confusion = draw.integers(0, 50, (n + 1, n, n)).astype(np.int32)
    confusion[1:] = confusion[1:] * 0 + draw.permutation(confusion[0])
    counts = confusion[0].sum(1)
    return Evaluation({"test": counts}, {"test": np.ones((n + 1, n), np.int64)}, {"test": confusion}, {"test": confusion[0].astype(np.int64)})


@pytest.fixture
def folder(net, card, tmp_path) -> Path:
    checkpoints.save(net, tmp_path / "made", card, evaluation=evaluation())
    return tmp_path / "made"


def told(call, *said: str) -> None:
    """`call()` raises a WfvizError of one sentence that says all that."""
    with pytest.raises(WfvizError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and 10 < len(text) < 400
    for words in said:
        assert words in text


def edit_card(folder: Path, **changes) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({k: v for k, v in {**card, **changes}.items() if v is not ...}))


def edit_tensors(folder: Path, change) -> None:
    """Tensors changed behind the card's back, and the card's digest with them."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    card = json.loads((folder / CARD).read_text())
    edit_card(folder, digests={**card["digests"], "weights": sha256(folder / WEIGHTS)})


# --- what is written is what is read ------------------------------------------------------------


def test_a_network_comes_back_the_same(net, folder):
    again = wfviz.load(folder, "cpu")
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    assert (again.classes, again.layers, again.inputs) == (net.classes, net.layers, net.inputs)
    for forget in (None, 3, (3, 5), ROWS):
        assert torch.equal(again(X, forget=forget), net(X, forget=forget))


def test_saved_by_the_network_itself(net, card, tmp_path):
    net.save(tmp_path / "a" / "b", card)
    assert torch.equal(wfviz.load(str(tmp_path / "a" / "b"), "cpu")(X, forget=ROWS), net(X, forget=ROWS))
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == [CARD, WEIGHTS]


def test_half_precision(net, card, tmp_path):
    checkpoints.save(net, tmp_path, card, half=True)
    again = wfviz.load(tmp_path, "cpu")
    assert all(torch.equal(a, b.half().float()) for a, b in zip(again.alpha_parameters(), net.alpha_parameters(), strict=True))
    assert next(again.backbone.parameters()).dtype == torch.float32
    torch.testing.assert_close(again(X, forget=ROWS), net(X, forget=ROWS), rtol=1e-2, atol=1e-2)
    assert (tmp_path / WEIGHTS).stat().st_size < 0.6 * sum(v.numel() * 4 for v in net.state_dict().values())


@pytest.mark.parametrize("name", ["test_resnet", "vit_micro"])
def test_other_backbones_come_back_the_same(name, roughen, tmp_path):
    spec = BackboneSpec(name, 4, 1, 8)
    net = roughen(WFNet(roughen(build(spec), torch.float32), 4, classes=("α", "b c", "d/e", "f")), torch.float32)
    net.save(tmp_path, {"backbone": spec.to_dict()})
    again = wfviz.load(tmp_path, "cpu")
    assert again.classes == ("α", "b c", "d/e", "f")
    with torch.no_grad():
        assert torch.equal(again(X), net(X)) and torch.equal(again(X, forget=ROWS.clamp(max=3)), net(X, forget=ROWS.clamp(max=3)))
    plain = checkpoints.load_backbone(tmp_path, spec)
    assert torch.equal(plain.eval()(X), net(X))


def test_a_network_of_ones_own(net, card, tmp_path):
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 5), torch.nn.ReLU(), torch.nn.Linear(5, 10))
    net = WFNet(own, 10)
    net.save(tmp_path, {})
    told(lambda: wfviz.load(tmp_path, "cpu"), "backbone=")
    fresh = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 5), torch.nn.ReLU(), torch.nn.Linear(5, 10))
    assert torch.equal(checkpoints.load(tmp_path, "cpu", backbone=fresh)(X, forget=ROWS), net(X, forget=ROWS))
    checkpoints.save(net, tmp_path, {}, with_backbone=False)
    told(lambda: wfviz.load(tmp_path, "cpu"), "backbone=")
    assert torch.equal(checkpoints.load(tmp_path, "cpu", backbone=own)(X, forget=ROWS), net(X, forget=ROWS))


def test_without_the_backbone(net, card, tmp_path):
    checkpoints.save(net, tmp_path, card, with_backbone=False)
    assert not any(key.startswith("backbone.") for key in load_file(tmp_path / WEIGHTS))
    told(lambda: wfviz.load(tmp_path, "cpu"), "not the backbone", "python -m wfviz")
    assert checkpoints.read_gates(tmp_path).keys() == set(net.layers)
    plain = CNN(10, 1, 8)
    plain.load_state_dict(net.backbone_state())
    assert torch.equal(checkpoints.load(tmp_path, "cpu", backbone=plain)(X, forget=ROWS), net(X, forget=ROWS))


def test_gates_without_the_network(net, folder):
    stored = checkpoints.read_gates(folder)
    assert list(stored) == list(net.layers)
    for layer, kinds in net.gates().items():
        assert stored[layer].keys() == kinds.keys()
        for kind, gate in kinds.items():
            np.testing.assert_allclose(stored[layer][kind], gate.numpy(), rtol=1e-6)


def test_an_evaluation_comes_back_the_same(folder):
    again, wanted = checkpoints.read_evaluation(folder), evaluation()
    for part in PARTS:
        assert list(getattr(again, part)) == ["test"]
        np.testing.assert_array_equal(getattr(again, part)["test"], getattr(wanted, part)["test"])


def test_the_card_says_what_it_is(net, folder, card):
    made = checkpoints.read_card(folder)
    assert made["format"] == checkpoints.FORMAT and made["kind"] == "wfnet" and made["name"] == "made"
    assert made["backbone"] == card["backbone"] and made["layers"] == list(net.layers) and made["seed"] == 0
    assert made["digests"]["weights"] == sha256(folder / WEIGHTS)
    gates = 10 * 2 * (32 + 64 + 128 + 64)
    assert made["parameters"] == {"backbone": sum(p.numel() for p in CNN(10, 1, 8).parameters()), "gates": gates}
    assert {"wfviz", "torch", "python", "timm"} <= made["versions"].keys()


def test_checkpoints_are_found(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "a")
    (tmp_path / "empty").mkdir()
    assert checkpoints.find_checkpoints(tmp_path, tmp_path / "nowhere") == [tmp_path / "a", tmp_path / "made"]


def test_new_weights_do_not_keep_an_old_evaluation(net, folder, card):
    checkpoints.save(net, folder, card)
    told(lambda: checkpoints.read_evaluation(folder), "evaluate")


SHIPPED = checkpoints.find_checkpoints(Path(__file__).parents[1] / "checkpoints")


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_what_is_shipped_works_and_tells_nothing_of_the_machine_it_was_made_on(folder):
    card = checkpoints.read_card(folder)
    assert card["name"] == folder.name
    if card["backbone_included"]:
        net = wfviz.load(folder, "cpu")
        x = torch.zeros(2, net.inputs.channels, net.inputs.size, net.inputs.size)
        assert net(x, forget=torch.tensor([0, -1])).shape == (2, len(net.classes))
    else:  # the network comes from a command
        gates = [gate for kinds in checkpoints.read_gates(folder).values() for gate in kinds.values()]
        assert sum(gate.size for gate in gates) == card["parameters"]["gates"] and {len(gate) for gate in gates} == {len(card["classes"])}
        assert f" --out {card['backbone_from']}" in checkpoints.commands(card)[-2]
    stored = checkpoints.read_evaluation(folder)
    assert {"test", "train"} <= set(stored.splits)
    for split in stored.splits:
        again = summary(stored, split, tuple(card["classes"]))
        assert card["metrics"][split]["acc_f"] == pytest.approx(again["acc_f"]) and again["acc_f"]["mean"] < 0.02
        assert again["acc_r"]["mean"] > again["original_acc_r"]["mean"] - 0.03
    text = (folder / CARD).read_text()
    assert not [root for root in ("/tmp", "/work", "/home", "/root") if root in text]
    assert str(card["seed"]) and " untrain " in card["command"]


# --- interrupted while writing ------------------------------------------------------------------


@pytest.mark.parametrize("writer", ["save_file", "np.savez_compressed"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_write_leaves_the_old_files(net, card, folder, writer, error, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def torn(*arguments, **_):
        path = next(a for a in arguments if isinstance(a, Path))
        path.write_bytes(b"half a file")
        raise error

    target = checkpoints if writer == "save_file" else checkpoints.np
    monkeypatch.setattr(target, writer.removeprefix("np."), torn)
    with pytest.raises(error):
        checkpoints.save(net, folder, card, evaluation=evaluation())
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert torch.equal(wfviz.load(folder, "cpu")(X, forget=2), net(X, forget=2))


def test_a_card_that_cannot_be_written_leaves_no_half_card(net, card, folder):
    with pytest.raises(ValueError):
        checkpoints.save(net, folder, {**card, "loss": float("nan")}, evaluation=evaluation())
    assert checkpoints.read_card(folder)["kind"] == "wfnet" and not list(folder.glob(".*"))


# --- damaged ------------------------------------------------------------------------------------

MISSING = "alpha.conv1.weight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop(MISSING), ["missing", MISSING]),
        (lambda t: t.pop("backbone.fc3.bias"), ["missing", "backbone.fc3.bias"]),
        (lambda t: t.update(surplus=torch.zeros(1)), ["surplus"]),
        (lambda t: t.update({"alpha.fc3.weight": torch.zeros(10, 10)}), ["surplus", "alpha.fc3.weight"]),
        (lambda t: t.update({MISSING: torch.zeros(10, 31)}), [MISSING, "[10, 31], not [10, 32]"]),
        (lambda t: t.update({MISSING: torch.zeros(320)}), [MISSING, "[320]"]),
        (lambda t: t.update({"backbone.fc3.bias": torch.zeros(11)}), ["backbone.fc3.bias", "[11]"]),
        (lambda t: t.update({MISSING: torch.full((10, 32), float("nan"))}), ["not finite", MISSING]),
        (lambda t: t["backbone.conv1.weight"].view(-1)[7:8].fill_(float("inf")), ["not finite", "backbone.conv1.weight"]),
        (lambda t: t.update({MISSING: torch.zeros(10, 32, dtype=torch.int64)}), [MISSING, "int64"]),
        (lambda t: t.update({"backbone.fc3.bias": torch.zeros(10, dtype=torch.complex64)}), ["backbone.fc3.bias", "complex64"]),
        (lambda t: t.clear(), ["missing"]),
    ],
)
def test_tensors_that_do_not_fit(folder, change, said):
    edit_tensors(folder, change)
    told(lambda: wfviz.load(folder, "cpu"), *said)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop(MISSING), lambda t: t.update({"alpha.fc9.weight": torch.zeros(10, 3)}),
        lambda t: t.update({MISSING: torch.zeros(9, 32)}), lambda t: t.update({MISSING: torch.full((10, 32), float("nan"))}),
        lambda t: t.update({"alpha.conv1.scale": torch.zeros(10, 32)}), lambda t: t.update({"alpha.conv1.bias": torch.zeros(10, 3)}),
    ],
)
def test_gates_that_do_not_fit(folder, change):
    edit_tensors(folder, change)
    told(lambda: checkpoints.read_gates(folder))


@pytest.mark.parametrize("part", [0, 1, 7, 8, 100, -1, -1000])
def test_a_truncated_file(folder, part):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:part])
    for read in (lambda: wfviz.load(folder, "cpu"), lambda: checkpoints.read_gates(folder)):
        told(read, WEIGHTS, "cut off")
    edit_card(folder, digests={"weights": sha256(folder / WEIGHTS)})  # cut off before the card was written
    for read in (lambda: wfviz.load(folder, "cpu"), lambda: checkpoints.read_gates(folder)):
        told(read, WEIGHTS, "damaged")


def test_a_file_of_another_run(net, card, folder):
    other = WFNet(CNN(10, 1, 8), 10, ("conv*", "fc1", "fc2"))
    other.save(folder.parent / "other", card)
    shutil.copy(folder.parent / "other" / WEIGHTS, folder / WEIGHTS)
    told(lambda: wfviz.load(folder, "cpu"), "not the file")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '"card"', "{}", "\x00", '{"format": 1}', "\ud800"])
def test_a_broken_card(folder, text):
    (folder / CARD).write_bytes(text.encode("utf-8", "surrogatepass"))
    for read in (checkpoints.read_card, wfviz.load, checkpoints.read_gates, checkpoints.read_evaluation):
        told(lambda read=read: read(folder), CARD)


@pytest.mark.parametrize("number", [0, 2, "1", None, 1.5, [1]], ids=str)
def test_an_unknown_format(folder, number):
    edit_card(folder, format=number)
    told(lambda: wfviz.load(folder, "cpu"), "format", "reads format 1")


ODD = (..., None, 0, -1, 1.5, True, "", "x", "cnn", [], [0], ["x"], [None], [[]], {}, {"name": 3}, {"x": {}})


@pytest.mark.parametrize(
    "key", ["kind", "backbone", "classes", "inputs", "layers", "digests", "data", "name", "metrics", "parameters", "versions", "pretraining", "command", "backbone_included"]
)
def test_a_card_with_a_key_missing_or_odd(folder, key, capsys):
    """Whatever a card holds, every reader reads it or refuses it in a sentence."""
    whole = (folder / CARD).read_text()
    for odd in ODD:
        (folder / CARD).write_text(whole)
        edit_card(folder, **{key: odd})
        refused = 0
        for read in (
            lambda: wfviz.load(folder, "cpu"), lambda: checkpoints.read_gates(folder), lambda: checkpoints.read_evaluation(folder),
            lambda: checkpoints.load_backbone(folder, BackboneSpec("cnn", 10, 1, 8)),
            lambda: info(Namespace(folder=str(folder))),
            lambda: bake(Namespace(folder=str(folder), forget="3", out=str(folder / "plain.safetensors"))),
        ):
            try:
                read()
            except WfvizError as error:
                assert "\n" not in str(error)
                refused += 1
        if key in ("kind", "classes", "layers", "digests", "backbone"):
            assert refused


@pytest.mark.parametrize("field", ["name", "n_classes", "channels", "size", "pretrained"])
def test_a_card_with_an_odd_backbone(folder, card, field):
    for odd in (..., None, 0, -1, 1.5, "x", [], {}, 10**6 if field == "channels" else 7):
        backbone = {k: v for k, v in {**card["backbone"], field: odd}.items() if v is not ...}
        if (field, odd) == ("pretrained", ...):
            continue  # need not be said
        edit_card(folder, backbone=backbone)
        told(lambda: wfviz.load(folder, "cpu"))


@pytest.mark.parametrize("field", ["channels", "size", "mean", "std"])
def test_a_card_with_odd_inputs(folder, net, field):
    for odd in (..., None, "x", [], {}, ["x"], 1.5, [0.1, 0.2]):
        inputs = {k: v for k, v in {**net.inputs.to_dict(), field: odd}.items() if v is not ...}
        edit_card(folder, inputs=inputs)
        told(lambda: wfviz.load(folder, "cpu"))


def test_a_plain_classifier_is_no_wfnet(net, card, tmp_path):
    checkpoints.save(net, tmp_path, card, kind="backbone")
    told(lambda: wfviz.load(tmp_path, "cpu"), "without gates", "python -m wfviz untrain --dataset digits --backbone cnn")
    told(lambda: checkpoints.read_gates(tmp_path), "untrain")
    assert torch.equal(checkpoints.load_backbone(tmp_path, BackboneSpec("cnn", 10, 1, 8)).eval()(X), net(X))


@pytest.mark.parametrize("spec", [BackboneSpec("cnn", 9, 1, 8), BackboneSpec("cnn", 10, 3, 8), BackboneSpec("cnn", 10, 1, 28), BackboneSpec("vit_micro", 10, 1, 8)], ids=str)
def test_a_backbone_for_something_else(folder, spec):
    told(lambda: checkpoints.load_backbone(folder, spec), "not " + spec.name)


def test_nothing_there(tmp_path):
    for read in (checkpoints.read_card, wfviz.load, checkpoints.read_gates):
        told(lambda read=read: read(tmp_path / "nowhere"), "no checkpoint")
    (tmp_path / "file").write_text("")
    told(lambda: checkpoints.read_card(tmp_path / "file"))


def test_files_that_are_missing(folder):
    (folder / WEIGHTS).unlink()
    (folder / EVALUATION).unlink()
    told(lambda: wfviz.load(folder, "cpu"), f"no {WEIGHTS}")
    told(lambda: checkpoints.read_evaluation(folder), "no evaluation", "python -m wfviz evaluate")


@pytest.mark.parametrize("part", [0, 1, 100, -1, -30])
def test_a_truncated_evaluation(folder, part):
    (folder / EVALUATION).write_bytes((folder / EVALUATION).read_bytes()[:part])
    told(lambda: checkpoints.read_evaluation(folder), "evaluate")


def test_an_evaluation_with_bytes_changed(folder):
    whole, draw = (folder / EVALUATION).read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        changed = bytearray(whole)
        changed[draw.integers(len(whole))] = draw.integers(256)
        (folder / EVALUATION).write_bytes(changed)
        try:
            checkpoints.read_evaluation(folder)
        except WfvizError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "arrays",
    [
        {"counts.test": np.ones(9)}, {"counts.test": np.ones(10), "correct.test": np.ones((11, 10))}, {"counts.test": np.array("x")},
        {"counts.test": np.ones(10, int), "correct.test": np.ones((11, 10), int), "taken_for.test": np.ones((10, 10), int), "confusion.test": np.ones((2, 2), int)},
        {"confusion.test": np.ones((11, 10, 10))}, {}, {"counts.test": np.array([{}])},
    ],
    ids=range(7),
)
def test_an_evaluation_that_does_not_fit(folder, arrays):
    np.savez(folder / EVALUATION, **arrays)
    told(lambda: checkpoints.read_evaluation(folder), "evaluate")

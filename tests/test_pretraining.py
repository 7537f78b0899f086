"""Ordinary training: recipes, exact resumption, and what is counted."""

import json
import signal
from dataclasses import replace

import pytest
import timm.layers
import timm.optim
import torch
from timm.layers import PatchDropout

from wfviz import pretraining
from wfviz.backbones import build, recipe
from wfviz.data import Data, Pictures, load_data
from wfviz.errors import WfvizError
from wfviz.muon import Muon
from wfviz.pretraining import STATE, accuracy_of, epochs_of, pretrain, resized, spec_for, spec_of
from wfviz.specs import BackboneSpec, InputSpec, PretrainSpec
from wfviz.training import batch_indices, make_accelerator, one_cycle, set_lr


@pytest.fixture
def data() -> Data:
    """Noise of 32 px, two classes, a light and a dark one."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    pixels = (torch.randint(0, 128, (40, 3, 32, 32), generator=draw) + 100 * labels[:, None, None, None]).to(torch.uint8)
    parts = [Pictures(pixels[a:b], labels[a:b]) for a, b in ((0, 24), (24, 32), (32, 40))]
    return Data("noise", ("dark", "light"), InputSpec(3, 32, (0.5,) * 3, (0.2,) * 3), *parts, flip=True, shift=2)


def spec(name: str, epochs: int = 3) -> tuple[BackboneSpec, PretrainSpec]:
    return BackboneSpec(name, 2, 3, 32), spec_for(name, PretrainSpec(epochs=epochs, batch_size=8, lr=0.01), 24)


def entries(folder) -> list[tuple]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [tuple(sorted((k, v) for k, v in e.items() if k not in ("seconds", "since"))) for e in lines if "loss" in e]


@pytest.mark.parametrize(("name", "optimizer", "part"), [("cnn", "adamw", 0), ("test_resnet", "muon", 0.5), ("squeezenet1_1", "sgd", 0), ("vit_micro", "muon", 0)])  # plain, BatchNorm, dropout, matrices
def test_interrupted_and_resumed_is_uninterrupted(name, optimizer, part, data, tmp_path, monkeypatch):
    backbone, how = spec(name)
    how = replace(how, optimizer=optimizer, skip_easy=part, cutout=round(8 * part), rest_lr=0.1 if part else None, patch_drop=0.5 if name == "vit_micro" else 0)
    accelerator = make_accelerator("cpu")
    whole, about = pretrain(data, backbone, how, tmp_path / "whole", accelerator, show=False)
    assert (about["state"], about["epochs"]) == ("done", 3.0) and not whole.training and {p.name for p in (tmp_path / "whole").iterdir()} == {"log.jsonl", STATE}

    steps, rates = iter(range(1, 100)), []

    def counted(step, total):
        rates.append(step)
        if next(steps) in (1, 3, 7):  # in the first epoch, at its end, in the middle of the third
            signal.raise_signal(signal.SIGINT)
        return one_cycle(step, total)

    monkeypatch.setattr(pretraining, "one_cycle", counted)
    states = []
    for attempt in range(4):
        torch.rand(attempt)  # whatever else draws random numbers
        part, about = pretrain(data, backbone, how, tmp_path / "parts", accelerator, resume=attempt > 0, show=False)
        states.append((about["state"], round(about["epochs"] * 3)))
    assert states == [("interrupted", 1), ("interrupted", 3), ("interrupted", 7), ("done", 9)] and rates == list(range(9))
    assert all(torch.equal(value, part.state_dict()[key]) for key, value in whole.state_dict().items())
    assert entries(tmp_path / "parts") == entries(tmp_path / "whole") and len(entries(tmp_path / "whole")) == 3


def test_other_settings_are_not_resumed(data, tmp_path, monkeypatch):
    backbone, how = spec("cnn")
    monkeypatch.setattr(pretraining, "one_cycle", lambda *_: signal.raise_signal(signal.SIGINT) or 1.0)
    accelerator = make_accelerator("cpu")
    assert pretrain(data, backbone, how, tmp_path, accelerator, show=False)[1]["state"] == "interrupted"
    for other in ((backbone, spec("cnn", 4)[1]), (BackboneSpec("cnn", 3, 3, 32), how)):
        with pytest.raises(WfvizError, match="other settings"):
            pretrain(data, *other, tmp_path, accelerator, resume=True, show=False)


def test_it_goes_on_from_a_network(data, tmp_path, monkeypatch):
    """Its weights are where it begins, and the pictures come as they would have in the epochs that follow."""
    backbone, how = spec("test_resnet", 2)
    accelerator = make_accelerator("cpu")
    start, _ = pretrain(data, backbone, how, tmp_path / "first", accelerator, show=False)
    before = {key: value.clone() for key, value in start.state_dict().items()}
    asked = []
    monkeypatch.setattr(pretraining, "batch_indices", lambda n, size, seed, step, share: asked.append(step) or batch_indices(n, size, seed, step, share))
    still = replace(how, lr=1e-12, weight_decay=0.0)
    net, about = pretrain(data, backbone, still, tmp_path / "second", accelerator, start=start, earlier=2.0, show=False)
    assert asked == [6, 7, 8, 9, 10, 11] and (about["state"], about["epochs"]) == ("done", 2.0)
    learned = {key for key, _ in net.named_parameters()}
    assert all(torch.allclose(value, before[key], atol=1e-6) for key, value in net.state_dict().items() if key in learned)


def test_a_run_that_went_on_from_a_network_is_not_resumed_without_it(data, tmp_path, monkeypatch):
    backbone, how = spec("cnn")
    accelerator = make_accelerator("cpu")
    start, _ = pretrain(data, backbone, how, tmp_path / "first", accelerator, show=False)
    monkeypatch.setattr(pretraining, "one_cycle", lambda *_: signal.raise_signal(signal.SIGINT) or 1.0)
    pretrain(data, backbone, how, tmp_path / "second", accelerator, start=start, earlier=3.0, show=False)
    with pytest.raises(WfvizError, match="other settings"):
        pretrain(data, backbone, how, tmp_path / "second", accelerator, resume=True, show=False)
    assert pretrain(data, backbone, how, tmp_path / "second", accelerator, start=start, earlier=3.0, resume=True, show=False)[1]["epochs"] == 2 / 3


@pytest.mark.parametrize("name", ["test_resnet", "vit_micro"])
def test_small_pictures_first(name, data, tmp_path, monkeypatch):
    """Every size has its share of the epochs; what a smaller picture shows is torchvision's."""
    from torchvision.transforms.functional import resize

    backbone, how = spec(name, 5)
    seen = []
    monkeypatch.setattr(pretraining, "resized", lambda x, size: seen.append(size) or pretraining_resized(x, size))
    pretraining_resized = resized
    pretrain(data, backbone, replace(how, sizes=(16, 24, 32)), tmp_path, make_accelerator("cpu"), show=False)
    assert seen == [16] * 8 + [24] * 8 + [32] * 4  # three steps of learning and a look at the validation split, an epoch
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(resized(x, 16), resize(x, [16, 16], antialias=True), atol=1e-6) and resized(x, None) is x


def test_easy_pictures_are_left_out(data, tmp_path, monkeypatch):
    """The first epoch takes all, the last eighth as well; between them the batches get smaller by easy ones alone."""
    backbone, how = spec("cnn", 8)
    sizes = []
    monkeypatch.setattr(pretraining, "resized", lambda x, size: sizes.append(len(x)) or x)
    pretrain(data, backbone, replace(how, skip_easy=0.9), tmp_path, make_accelerator("cpu"), show=False)
    learned = [size for place, size in enumerate(sizes) if place % 4 < 3]  # three steps and a look at the validation split
    assert learned[:3] == [8] * 3 and learned[-3:] == [8] * 3 and min(learned) < 8 and sum(learned[3:-3]) < 0.9 * 8 * 18


def test_patches_that_are_not_shown(data, tmp_path, monkeypatch):
    """While it learns, the class token and the part that is left go in, others at every step; afterwards, and for the validation split, all."""
    backbone, how = spec("vit_micro", 2)
    seen = []

    class Noted(PatchDropout):
        def forward(self, x):
            out = super().forward(x)
            kept = (x[:, 1:, None] == out[:, None, 1:]).all(-1).any(-1)  # [B, patches]
            assert torch.equal(out[:, 0], x[:, 0]) and torch.equal(kept.sum(1), torch.full((len(x),), out.shape[1] - 1))
            seen.append(kept)
            return out

    monkeypatch.setattr(timm.layers, "PatchDropout", Noted)
    net, _ = pretrain(data, backbone, replace(how, patch_drop=0.75), tmp_path, make_accelerator("cpu"), show=False)
    assert [int(kept.sum(1)[0]) for kept in seen] == ([16] * 3 + [64]) * 2  # of 8 x 8 patches; three steps of learning and a look at the validation split, an epoch
    assert not torch.equal(seen[0], seen[1]) and not torch.equal(seen[0][0], seen[0][1])
    assert torch.equal(net.train()(x := torch.rand(2, 3, 32, 32)), net.eval()(x))


def test_patches_of_a_network_without(data, tmp_path):
    backbone, how = spec("cnn")
    with pytest.raises(WfvizError, match="--patch-drop hides patches of a ViT, and cnn has none"):
        pretrain(data, backbone, replace(how, patch_drop=0.5), tmp_path / "new", make_accelerator("cpu"), show=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("name", "kind"), [("test_resnet", Muon), ("vit_micro", timm.optim.Muon)])
def test_muon_for_filters_and_for_matrices(name, kind, data, tmp_path, monkeypatch):
    """Learning rates are of different orders, so the wrong one would learn nothing, or fall apart."""
    used = []
    monkeypatch.setattr(pretraining, "set_lr", lambda opt, lr: used.append(opt.optimizer) or set_lr(opt, lr))
    backbone, how = spec(name, 1)
    pretrain(data, backbone, replace(how, optimizer="muon"), tmp_path, make_accelerator("cpu"), show=False)
    assert {type(opt) for opt in used} == {kind}


def test_a_rate_for_what_is_no_filter(data, tmp_path, monkeypatch):
    """Norms, biases and the last layer step by it, filters by lr; the same rate for both is none of its own."""
    backbone, how = spec("test_resnet", 1)
    how = replace(how, optimizer="muon")
    rates = []

    def noted(opt, lr):
        set_lr(opt, lr)
        rates.append({(p.ndim >= 3): group["lr"] / lr for group in opt.param_groups for p in group["params"]})

    plain, same, apart = (
        pretrain(data, backbone, one, tmp_path / str(one.rest_lr), make_accelerator("cpu"), show=False)[0]
        for one in (how, replace(how, rest_lr=how.lr), replace(how, rest_lr=20 * how.lr))
    )
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), same.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(plain.parameters(), apart.parameters(), strict=True))
    monkeypatch.setattr(pretraining, "set_lr", noted)
    pretrain(data, backbone, replace(how, rest_lr=20 * how.lr), tmp_path / "noted", make_accelerator("cpu"), show=False)
    assert len(rates) == 3 and all(rate == pytest.approx({True: 1, False: 20}) for rate in rates)


@pytest.mark.parametrize(("name", "optimizer"), [("test_resnet", "sgd"), ("vit_micro", "muon")])
def test_a_rate_for_the_rest_that_nothing_would_use(name, optimizer, data, tmp_path):
    backbone, how = spec(name)
    with pytest.raises(WfvizError, match="--rest-lr.* goes with the optimizer muon and a CNN"):
        pretrain(data, backbone, replace(how, optimizer=optimizer, rest_lr=0.1), tmp_path / "new", make_accelerator("cpu"), show=False)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(("name", "sizes", "why"), [
    ("test_resnet", (16, 24), "end with the size"), ("test_resnet", (48, 32), "beyond"), ("test_resnet", (0, 32), "not go beyond"), ("cnn", (16, 32), "of 16 px"), ("test_resnet", (16, 24, 24, 32), "too few for 4 sizes"),
    ("vit_micro", (18, 32), "of 18 px"),
])
def test_sizes_that_cannot_be(name, sizes, why, data, tmp_path):
    backbone, how = spec(name)
    with pytest.raises(WfvizError, match=why):
        pretrain(data, backbone, replace(how, sizes=sizes), tmp_path / "new", make_accelerator("cpu"), show=False)
    assert not (tmp_path / "new").exists()


def test_a_square_that_hides_all(data, tmp_path):
    backbone, how = spec("cnn")
    with pytest.raises(WfvizError, match="cutout 33 would hide pictures of 32 px altogether"):
        pretrain(data, backbone, replace(how, cutout=33), tmp_path / "new", make_accelerator("cpu"), show=False)
    assert not (tmp_path / "new").exists()


def test_the_state_is_kept_within_an_epoch(data, tmp_path, monkeypatch):
    backbone, how = spec("cnn", 1)
    kept = []
    monkeypatch.setattr(pretraining, "KEEP_EVERY", 0)
    monkeypatch.setattr(pretraining, "save_state", lambda path, *_, **about: kept.append(about["step"]))
    pretrain(data, backbone, how, tmp_path, make_accelerator("cpu"), show=False)
    assert kept == [1, 2, 3]


def test_it_learns_and_says_how_well(data, tmp_path):
    backbone, how = spec("cnn", 6)
    net, about = pretrain(data, backbone, how, tmp_path, make_accelerator("cpu"), show=False)
    assert about["val_accuracy"] == accuracy_of(net, data.val, data.inputs) == 1.0
    assert [dict(entry)["val_accuracy"] for entry in entries(tmp_path)][-1] == 1.0


def test_accuracy_one_by_one(data):
    net = build(BackboneSpec("cnn", 2, 3, 32))
    from wfviz.pictures import normalize

    right = sum(int(net(normalize(data.train.pixels[i : i + 1], data.inputs)).argmax() == data.train.labels[i]) for i in range(24))
    assert accuracy_of(net, data.train, data.inputs, batch_size=7) == right / 24


def test_weights_decay_and_biases_do_not():
    net = build(BackboneSpec("vit_micro", 5, 1, 8))
    decay, rest = pretraining._groups(net, 0.3)
    assert (decay["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)
    names = {id(p): n for n, p in net.named_parameters()}
    assert {id(p) for p in decay["params"]} | {id(p) for p in rest["params"]} == set(names) and len(decay["params"]) + len(rest["params"]) == len(names)
    assert all(names[id(p)].endswith("weight") and p.ndim > 1 for p in decay["params"])
    assert {"pos_embed", "cls_token", "head.bias", "norm.weight"} <= {names[id(p)] for p in rest["params"]}


@pytest.mark.parametrize("pictures", [55_000, 1294, 60])
def test_small_data_sets_get_more_epochs(pictures):
    how, filled = recipe("cnn"), spec_for("cnn", PretrainSpec(), pictures)
    steps = max(1, pictures // 128)
    assert filled.epochs == max(how.epochs, -(-how.least_steps // steps)) >= how.epochs
    assert (filled.optimizer, filled.lr, filled.weight_decay) == (how.optimizer, how.lr, how.weight_decay)
    assert spec_for("cnn", PretrainSpec(epochs=2, lr=0.5), pictures).epochs == 2
    assert [spec_for("vit_micro", PretrainSpec(optimizer=name), pictures).lr for name in (None, "muon", "sgd")] == [1e-3, 5e-3, 0.1]
    others = [spec_for("resnet18", PretrainSpec(optimizer=name), pictures) for name in (None, "adamw", "muon")]
    assert [(one.lr, one.weight_decay) for one in others] == [(0.1, 5e-4), (1e-3, 0.05), (0.1, 5e-4)]
    assert spec_for("resnet18", PretrainSpec(optimizer="adamw", lr=0.3), pictures).lr == 0.3


def test_an_unknown_backbone_writes_nothing(tmp_path):
    data = load_data("digits")
    with pytest.raises(WfvizError, match="did you mean cnn"):
        pretrain(data, BackboneSpec("cnnn", 10, 1, 8), PretrainSpec(epochs=1, lr=0.1, weight_decay=0.0, optimizer="sgd"), tmp_path / "new", make_accelerator("cpu"))
    assert not (tmp_path / "new").exists()


def test_how_a_stored_network_was_trained():
    how = spec_for("cnn", PretrainSpec(epochs=7, sizes=(16, 32), optimizer="muon"), 100)
    made = {**how.to_dict(), "sizes": [16, 32], "state": "done", "epochs": 7.0, "seconds": 3.0, "val_accuracy": 0.5, "command": "pretrain"}
    assert spec_of({"pretraining": made}) == how
    assert spec_of({}) is None and spec_of({"pretraining": {**made, "state": "interrupted", "epochs": 2.5}}) is None
    assert spec_of({"pretraining": {"state": "done", "lr": 0.5}}) == PretrainSpec(lr=0.5)  # a card that says little
    for epochs in ("many", [3]):
        with pytest.raises(WfvizError, match="epochs is"):
            spec_of({"pretraining": {**made, "epochs": epochs}})
    with pytest.raises(WfvizError, match="lr is 'fast'"):
        spec_of({"pretraining": {**made, "lr": "fast"}})


def test_how_a_network_of_several_turns_was_trained():
    """One turn of all their epochs, every epoch at its size, with the longest's settings: a last short one at a low rate is none to train by."""
    first = {**PretrainSpec(epochs=8, lr=0.1, sizes=(16, 24)).to_dict(), "state": "done", "epochs": 8.0}
    second = {**PretrainSpec(epochs=3, lr=0.06, sizes=(24, 32, 32)).to_dict(), "state": "done", "epochs": 3.0}
    card = {"backbone": {"size": 32}, "pretraining": {**second, "earlier": first}}
    assert spec_of(card) == PretrainSpec(epochs=11, lr=0.1, sizes=(16,) * 4 + (24,) * 4 + (24, 32, 32))
    third = {**PretrainSpec(epochs=2, lr=0.01).to_dict(), "state": "done", "epochs": 2.0}
    once_more = spec_of({**card, "pretraining": {**third, "earlier": card["pretraining"]}})
    assert epochs_of({**third, "earlier": card["pretraining"]}) == 13 and epochs_of(first) == 8 and epochs_of({}) == 0
    assert once_more == PretrainSpec(epochs=13, lr=0.1, sizes=(16,) * 4 + (24,) * 4 + (24, 32, 32, 32, 32))
    plain = {**card, "pretraining": {**third, "earlier": {**third, "lr": 0.02}}}
    assert spec_of(plain) == PretrainSpec(epochs=4, lr=0.01), "as long: the later one"
    for unknown in ({}, {**first, "state": "interrupted"}):
        assert spec_of({**card, "pretraining": {**second, "earlier": unknown}}) is None

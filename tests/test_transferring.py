"""A network for other pictures or classes as the beginning of a new one."""

import json
import shutil

import pytest
import torch

from wfviz import checkpoints
from wfviz.backbones import build
from wfviz.cli import main
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.pretraining import epochs_of, spec_of
from wfviz.specs import BackboneSpec
from wfviz.transferring import transferred


@pytest.mark.parametrize(("name", "stem", "head"), [("vit_micro", "patch_embed.proj", "head"), ("test_resnet", "conv1.0", "fc")])
def test_what_it_takes_over(name, stem, head):
    """All but the classifier; a grey picture leaves the first layer as it did, positions lie where they lay."""
    source = build(BackboneSpec(name, 3, 3, 32)).eval()
    net = transferred(source, BackboneSpec(name, 5, 1, 28)).eval()
    learned, new = source.state_dict(), net.state_dict()
    assert {key for key in new if learned[key].shape != new[key].shape} - {"pos_embed"} == {f"{stem}.weight", f"{head}.weight", f"{head}.bias"}
    assert all(torch.equal(new[key], learned[key]) for key in new if learned[key].shape == new[key].shape)
    x = torch.rand(2, 1, 28, 28)
    assert torch.allclose(net.get_submodule(stem)(x), source.get_submodule(stem)(x.expand(-1, 3, -1, -1)), atol=1e-5)
    assert net(x).shape == (2, 5)
    again, other = (transferred(source, BackboneSpec(name, 5, 1, 28), seed).state_dict() for seed in (0, 1))
    assert torch.equal(again[f"{head}.weight"], new[f"{head}.weight"]) and not torch.equal(other[f"{head}.weight"], new[f"{head}.weight"])


def test_positions_are_interpolated():
    """A ramp over the rows of 8 x 8 patches stays one over 7 x 7; the class token keeps its own."""
    source = build(BackboneSpec("vit_micro", 3, 3, 32))
    with torch.no_grad():
        source.pos_embed[0, 1:] = torch.linspace(-1, 1, 8).repeat_interleave(8)[:, None]
    moved = transferred(source, BackboneSpec("vit_micro", 3, 3, 28)).pos_embed[0].detach()
    rows = moved[1:].reshape(7, 7, -1)
    assert torch.equal(moved[0], source.pos_embed[0, 0]) and torch.allclose(rows, rows[:, :1, :1].expand_as(rows), atol=1e-5)
    assert torch.allclose(rows[:, 0, 0], torch.linspace(-1, 1, 7), atol=0.1) and (rows[1:, 0, 0] > rows[:-1, 0, 0]).all()


def test_a_layer_that_depends_on_the_side():
    with pytest.raises(WfvizError, match=r"fc1.weight was learned as \[.*\] and would have to be \[.*\] for these pictures; start from random weights, without --from"):
        transferred(build(BackboneSpec("cnn", 3, 1, 16)), BackboneSpec("cnn", 3, 1, 8))


def test_from_the_command_line(tmp_path, capsys):
    """The card names both trainings; only the epochs of these pictures count as their own."""
    first = tmp_path / "first"
    net = WFNet(build(BackboneSpec("test_resnet", 3, 3, 32)), 3)
    made = {"state": "done", "epochs": 7.0, "command": "python -m wfviz pretrain --dataset cifar10 --backbone test_resnet --out first"}
    spec = {"name": "test_resnet", "n_classes": 3, "channels": 3, "size": 32, "pretrained": False}
    checkpoints.save(net, first, {"backbone": spec, "data": {"dataset": "cifar10"}, "pretraining": made}, kind="backbone")
    words = ["pretrain", "--dataset", "digits", "--device", "cpu", "--epochs", "1", "--train-pictures", "100", "--from", str(first)]
    assert main([*words, "--backbone", "test_resnet", "--out", str(tmp_path / "second")]) == 0
    card = checkpoints.read_card(tmp_path / "second")
    assert card["pretraining"]["transferred"] == "cifar10" and card["pretraining"]["earlier"] == made
    assert epochs_of(card["pretraining"]) == spec_of(card).epochs == 1
    assert checkpoints.commands(card) == [made["command"], card["command"]]
    assert card["inputs"]["channels"] == 1 and card["backbone"]["n_classes"] == 10
    (first / checkpoints.CARD).write_text(json.dumps({**card, "classes": card["classes"][::-1]}), encoding="utf-8")
    shutil.copy(tmp_path / "second" / checkpoints.WEIGHTS, first / checkpoints.WEIGHTS)
    assert main([*words, "--backbone", "test_resnet", "--out", str(tmp_path / "third")]) == 0  # of the same shape, with other classes
    assert checkpoints.read_card(tmp_path / "third")["pretraining"]["transferred"] == "digits"
    capsys.readouterr()
    assert main([*words, "--backbone", "cnn", "--out", str(tmp_path / "fourth")]) == 2
    assert "cnn is no wider test_resnet" in capsys.readouterr().err and not (tmp_path / "fourth").exists()

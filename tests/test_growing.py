"""A wider ViT that begins where a narrower one stopped."""

import pytest
import torch

from wfviz import backbones, checkpoints
from wfviz.backbones import Recipe, build
from wfviz.cli import main
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.growing import grown
from wfviz.pretraining import epochs_of, spec_of
from wfviz.specs import BackboneSpec

MICRO = BackboneSpec("vit_micro", 10, 1, 8)  # 64 channels, 4 heads


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """vit_micro with twice and three times its heads, and with heads of another width."""
    for name, width, heads in (("twice", 128, 8), ("thrice", 192, 12), ("fat", 128, 4)):
        monkeypatch.setitem(backbones._registry, name, Recipe(backbones._vit(width, 4, heads, None), transformer=True))


@pytest.fixture
def micro():
    torch.manual_seed(0)
    net = build(MICRO).eval()
    with torch.no_grad():  # norms and biases that do something
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net


@pytest.mark.parametrize(("name", "k"), [("twice", 2), ("thrice", 3)])
def test_same_answers_from_copies(micro, name, k):
    """Every copy reads its own part of the weights, and the parts add up to what was learned."""
    net = grown(micro, MICRO, name)
    x = torch.randn(5, 1, 8, 8)
    assert torch.allclose(net(x), micro(x), atol=1e-4)
    assert torch.allclose(net.forward_features(x), micro.forward_features(x).repeat(1, 1, k), atol=1e-4)
    wider, learned = net.blocks[1].mlp.fc1.weight.detach(), micro.blocks[1].mlp.fc1.weight.detach()
    parts = wider.unflatten(1, (k, -1))
    assert torch.allclose(parts.sum(1), learned.repeat(k, 1), atol=1e-5)
    assert not torch.allclose(parts[:, 0], parts[:, 1], atol=0.01)
    q, q_learned = net.blocks[0].attn.qkv.bias.detach(), micro.blocks[0].attn.qkv.bias.detach()
    assert torch.equal(q, torch.cat([third.repeat(k) for third in q_learned.chunk(3)]))


def test_copies_learn_different_things(micro):
    net = grown(micro, MICRO, "twice")
    net(torch.randn(5, 1, 8, 8)).square().sum().backward()
    first, second = net.blocks[1].mlp.fc1.weight.grad.chunk(2)
    assert (first - second).norm() > 0.3 * first.norm()


def test_drawn_by_the_seed(micro):
    weights = [grown(micro, MICRO, "twice", seed).head.weight for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(("name", "why"), [
    ("cnn", "cnn is no wider vit_micro; go on with vit_micro"), ("vit_tiny", "vit_tiny is no wider vit_micro"),
    ("fat", "fat is no wider vit_micro that gives the same answers, such as one with more heads of the same width"),
])
def test_what_is_no_wider_one(micro, name, why):
    with pytest.raises(WfvizError, match=why):
        grown(micro, MICRO, name)


def test_from_the_command_line(micro, tmp_path):
    """The card says from what it grew; the pictures that the narrow network has seen count."""
    first, second = tmp_path / "narrow", tmp_path / "wide"
    words = ["--dataset", "digits", "--device", "cpu", "--train-pictures", "100"]
    assert main(["pretrain", *words, "--backbone", "vit_micro", "--epochs", "2", "--out", str(first)]) == 0
    assert main(["pretrain", *words, "--backbone", "twice", "--epochs", "1", "--from", str(first), "--out", str(second)]) == 0
    card = checkpoints.read_card(second)
    assert card["pretraining"]["grown"] == "vit_micro" and card["backbone"]["name"] == "twice" and "transferred" not in card["pretraining"]
    assert epochs_of(card["pretraining"]) == spec_of(card).epochs == 3
    assert checkpoints.commands(card) == [checkpoints.read_card(first)["command"], card["command"]]
    other = tmp_path / "colour"
    net = WFNet(build(BackboneSpec("vit_micro", 3, 3, 8)), 3)
    spec = {"name": "vit_micro", "n_classes": 3, "channels": 3, "size": 8, "pretrained": False}
    checkpoints.save(net, other, {"backbone": spec, "data": {"dataset": "photos"}, "pretraining": {"state": "done", "epochs": 7.0}}, kind="backbone")
    assert main(["pretrain", *words, "--backbone", "twice", "--epochs", "1", "--from", str(other), "--out", str(tmp_path / "both")]) == 0
    made = checkpoints.read_card(tmp_path / "both")["pretraining"]
    assert (made["grown"], made["transferred"]) == ("vit_micro", "photos")

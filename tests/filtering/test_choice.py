"""Which layers are gated, and which BatchNorm takes over which convolution's gate."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from wfviz.backbones import CNN, build
from wfviz.errors import WfvizError
from wfviz.filtering.choice import choose_layers, find_head, norms_behind
from wfviz.methods.svd import projectable
from wfviz.specs import BackboneSpec


def backbone(name: str, size: int = 8) -> nn.Module:
    with torch.device("meta"):  # its structure is enough
        return build(BackboneSpec(name, 10, 3, size))


class Attention(nn.Module):
    def __init__(self, names):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.block = nn.ModuleDict({name: nn.Linear(4, 4) for name in names})
        self.mlp, self.head = nn.Linear(4, 4), nn.Linear(4, 10)


def test_convolutions_where_there_is_no_attention():
    assert choose_layers(CNN(10), 10) == ("conv1", "conv2")
    layers = choose_layers(backbone("resnet18"), 10)
    assert len(layers) == 20 and layers[0] == "conv1" and "layer2.0.downsample.0" in layers and "fc" not in layers


@pytest.mark.parametrize("names", [["qkv"], ["q", "k", "v"], ["q_proj", "k_proj", "v_proj"], ["query", "key", "value"], ["to_qkv"]], ids=str)
def test_projections_where_there_is_attention(names):
    assert choose_layers(Attention(names), 10) == tuple(f"block.{name}" for name in names)


def test_every_qkv_of_a_vit():
    assert choose_layers(backbone("vit_micro"), 10) == tuple(f"blocks.{i}.attn.qkv" for i in range(4))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("hook", [nn.utils.weight_norm, nn.utils.spectral_norm, lambda m: prune.random_unstructured(m, "weight", 0.5)], ids=["norm", "spectral", "prune"])
def test_a_weight_that_is_made_anew_at_every_call_is_not_gated(hook):
    """What `bake` folds into it would be overwritten."""
    net = nn.Sequential(hook(nn.Conv2d(3, 4, 1)), nn.Conv2d(4, 5, 1), nn.Flatten(), nn.Linear(5, 10))
    assert choose_layers(net, 10) == ("1",)
    assert set(projectable(net)) == {"1", "3"}


def test_a_stem_before_linear_layers_says_nothing():
    net = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(), *(nn.Linear(4, 4) for _ in range(4)), nn.Linear(4, 10))
    with pytest.raises(WfvizError, match="1 convolutions beside 4 hidden linear layers.*--layers"):
        choose_layers(net, 10)
    assert choose_layers(net, 10, ("3", "4")) == ("3", "4")


def test_hidden_linear_layers_where_there_is_nothing_else():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 10))
    assert choose_layers(net, 10) == ("1", "3")


@pytest.mark.parametrize(
    ("patterns", "layers"),
    [
        (("*",), ("conv1", "conv2", "fc1", "fc2")),
        (("fc*",), ("fc1", "fc2")),
        (("conv2", "conv*"), ("conv1", "conv2")),
        (("fc1", "conv1"), ("conv1", "fc1")),
        (("[cf]*1",), ("conv1", "fc1")),
    ],
    ids=str,
)
def test_patterns_choose_in_the_order_of_definition_and_never_the_head(patterns, layers):
    assert choose_layers(CNN(10), 10, patterns) == layers


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("conv9", "did you mean conv2"), ("fc3", "head"), ("fc[3]", "head"), ("act", "a ReLU"), ("layer4.*", "known: conv1, conv2, fc1, fc2")],
)
def test_a_pattern_that_fits_nothing_is_told_in_a_sentence(pattern, said):
    with pytest.raises(WfvizError) as caught:
        choose_layers(CNN(10), 10, ("conv1", pattern))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_head_is_the_last_layer_with_an_output_a_class():
    assert find_head(CNN(64), 64) == "fc3"  # fc2 has 64 outputs as well
    assert find_head(backbone("resnet18"), 10) == "fc"
    assert find_head(backbone("vit_micro"), 10) == "head"


def test_the_convolution_that_classifies_is_never_gated():
    net = backbone("squeezenet1_1", 32)
    assert find_head(net, 10) == "classifier.1"
    for patterns in (None, ("*",), ("*1*", "features.0")):
        assert "classifier.1" not in choose_layers(net, 10, patterns)
    with pytest.raises(WfvizError, match="head"):
        choose_layers(net, 10, ("classifier.1",))


@pytest.mark.parametrize(
    ("net", "n_classes", "said"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), 10, "no layer with 10 outputs"),
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 10)), 10, "to gate"),
        (nn.Sequential(nn.ReLU()), 10, "no layer with 10 outputs"),
    ],
)
def test_a_network_without_head_or_layers_is_refused(net, n_classes, said):
    with pytest.raises(WfvizError, match=said):
        choose_layers(net, n_classes)


# --- BatchNorm ----------------------------------------------------------------------------------


def behind(net: nn.Module) -> dict[str, str]:
    return norms_behind(net.eval(), choose_layers(net, 10))


@pytest.mark.parametrize(("name", "norms"), [("resnet18", 20), ("resnet50", 53), ("vgg11", 8), ("vgg16", 13), ("cnn", 0), ("vit_micro", 0)])
def test_every_batch_norm_of_the_backbones_takes_its_gate(name, norms):
    found = behind(backbone(name))
    assert len(found) == norms == len(set(found.values()))


class Net(nn.Module):
    def __init__(self, forward, norm=None):
        super().__init__()
        self.conv, self.other, self.norm = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), norm or nn.BatchNorm2d(4)
        self.second, self.head, self.run = nn.BatchNorm2d(4), nn.Linear(4, 10), forward

    def forward(self, x):
        return self.head(self.run(self, x).mean((2, 3)))


def test_a_batch_norm_right_behind_a_convolution_takes_its_gate():
    assert behind(Net(lambda s, x: s.norm(s.conv(x)))) == {"norm": "conv"}
    assert behind(Net(lambda s, x: s.norm(s.conv(x)) + s.second(s.other(x)))) == {"norm": "conv", "second": "other"}


@pytest.mark.parametrize(
    "net",
    {
        "output used twice": lambda: Net(lambda s, x: s.norm(y := s.conv(x)) + y),
        "two norms": lambda: Net(lambda s, x: s.norm(y := s.conv(x)) + s.second(y)),
        "something between": lambda: Net(lambda s, x: s.norm(F.relu(s.conv(x)))),
        "norm used twice": lambda: Net(lambda s, x: s.norm(s.conv(x)) + s.norm(s.other(x))),
        "convolution used twice": lambda: Net(lambda s, x: s.norm(s.conv(x)) + s.conv(x)),
        "no running statistics": lambda: Net(lambda s, x: s.norm(s.conv(x)), nn.BatchNorm2d(4, track_running_stats=False)),
        "another norm": lambda: Net(lambda s, x: s.norm(s.conv(x)), nn.GroupNorm(2, 4)),
        "cannot be traced": lambda: Net(lambda s, x: s.norm(s.conv(x)) if x.sum() > 0 else x),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_batch_norm_that_may_not_take_a_gate_does_not(net):
    assert behind(net[1]()) == {}


def test_a_batch_norm_behind_a_layer_that_is_not_gated_stays():
    net = Net(lambda s, x: s.norm(s.conv(x)) + s.second(s.other(x))).eval()
    assert norms_behind(net, ("other",)) == {"second": "other"}

"""What is taken at a layer, against the layer computed by hand, on networks of every kind."""

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from wfviz.backbones import build
from wfviz.data import Pictures
from wfviz.errors import WfvizError
from wfviz.metrics.features import features, layers_of
from wfviz.pictures import normalize
from wfviz.specs import BackboneSpec, InputSpec

C, N = 5, 5


def make(name: str, size: int) -> tuple[nn.Module, Pictures, InputSpec]:
    if name == "swin":
        net = SwinTransformer(img_size=size, patch_size=2, num_classes=C, embed_dim=8, depths=(2,), num_heads=(2,), window_size=4)
    else:
        net = build(BackboneSpec(name, C, 3, size))
    pictures = Pictures(torch.randint(0, 256, (N, 3, size, size), dtype=torch.uint8), torch.arange(N) % C)
    return net, pictures, InputSpec(3, size, (0.3,) * 3, (0.4,) * 3)


KINDS = {"cnn": 8, "resnet18": 8, "vgg11": 8, "vit_micro": 8, "squeezenet1_1": 32, "swin": 16}


@pytest.fixture(params=KINDS)
def kind(request):
    return make(request.param, KINDS[request.param])


@torch.no_grad()
def test_every_kind_of_network_one_picture_at_a_time(kind):
    """Mean over space or tokens of what the layer puts out for that picture alone."""
    net, pictures, inputs = kind
    layers = layers_of(net, C, normalize(pictures.pixels[:1], inputs))
    found = features(net, pictures, inputs, layers, C, batch_size=3)
    assert list(found) == [*layers, "logits"] and len(layers) <= 6 and layers[-1] == "features"
    assert not net.training
    for i in (0, N - 1):
        x, outputs = normalize(pictures.pixels[i : i + 1], inputs), {}
        hooks = [net.get_submodule(n).register_forward_hook(lambda m, _, y, n=n: outputs.update({n: y.clone()})) for n in layers[:-1]]
        logits = net(x)
        for hook in hooks:
            hook.remove()
        assert torch.allclose(found["logits"][i], logits[0], atol=1e-4)
        for name, y in outputs.items():
            convolution = isinstance(net.get_submodule(name), nn.Conv2d)
            slow = y.mean((0, 2, 3)) if convolution else y.flatten(0, -2).mean(0)
            assert torch.allclose(found[name][i], slow, atol=1e-4), name
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


@pytest.mark.parametrize("name", ["cnn", "resnet18", "vit_micro"])
def test_the_features_are_what_the_head_reads(name):
    net, pictures, inputs = make(name, 8)
    found = features(net, pictures, inputs, ("features",), C)
    head = [m for m in net.modules() if isinstance(m, nn.Linear)][-1]
    assert torch.allclose(found["features"] @ head.weight.T + head.bias, found["logits"], atol=1e-4)


def test_the_features_of_a_convolutional_head_are_the_mean_over_space():
    net, pictures, inputs = make("squeezenet1_1", 32)
    found = features(net, pictures, inputs, ("features",), C)["features"]
    assert found.shape == (N, 512)
    with torch.no_grad():
        assert torch.allclose(found, net.features(normalize(pictures.pixels, inputs)).mean((2, 3)), atol=1e-4)


def test_which_layers():
    (cnn, *of_cnn), (vit, *of_vit), (resnet, *of_resnet) = (make(name, 8) for name in ("cnn", "vit_micro", "resnet18"))
    x, y, z = (normalize(pictures.pixels[:1], inputs) for pictures, inputs in (of_cnn, of_vit, of_resnet))
    assert layers_of(cnn, C, x) == ("conv1", "conv2", "fc1", "fc2", "features")
    assert layers_of(cnn, C, x, most=3) == ("conv1", "fc2", "features") and layers_of(cnn, C, x, most=1) == ("features",)
    assert layers_of(vit, C, y) == (*(f"blocks.{i}.attn.qkv" for i in range(4)), "features")
    chosen = layers_of(resnet, C, z)
    assert len(chosen) == 6 and chosen[0] == "conv1" and chosen[-2] == "layer4.1.conv2"


def test_a_network_that_only_reads_the_weights_of_its_projections():
    """BEiT never calls its qkv: it is looked at elsewhere."""
    net = timm.create_model("beit_base_patch16_224", img_size=16, patch_size=8, embed_dim=24, depth=2, num_heads=2, num_classes=C).eval()
    _, pictures, inputs = make("swin", 16)
    layers = layers_of(net, C, normalize(pictures.pixels[:1], inputs))
    assert len(layers) == 6 and not any(name.endswith("qkv") for name in layers)
    assert features(net, pictures, inputs, layers, C)["features"].shape == (N, 24)


def test_a_layer_that_is_not_there_or_takes_no_part_is_told():
    net, pictures, inputs = make("cnn", 8)
    net.spare = nn.Linear(3, 3)
    with pytest.raises(WfvizError, match="no layer 'conv9'"):
        features(net, pictures, inputs, ("conv9",), C)
    with pytest.raises(WfvizError, match="'spare' takes no part"):
        features(net, pictures, inputs, ("conv1", "spare"), C)
    assert not net.conv1._forward_hooks


def test_a_destroyed_network_is_told():
    net, pictures, inputs = make("cnn", 8)
    nn.init.constant_(net.fc1.weight, torch.nan)
    with pytest.raises(WfvizError, match="not finite"):
        features(net, pictures, inputs, ("conv1",), C)

"""Every registered backbone, small: what it takes, and that it forgets as Algorithm 1 says."""

import pytest
import torch

from wfviz.backbones import build, names, patch_size, pretrained_inputs, recipe
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.specs import BackboneSpec, InputSpec

REGISTERED = [(name, 3 if name == "vgg11" else 1, 8) for name in names()]
OTHERS = [  # of timm and torchvision: a convolution as the head, depthwise convolutions, windows and weights that are read
    ("squeezenet1_1", 3, 32), ("mobilenetv3_small_050", 3, 32), ("swin_t", 3, 32), ("test_byobnet", 1, 32), ("test_vit", 3, 160),
]


def small(name: str, channels: int, size: int):
    spec = BackboneSpec(name, 5, channels, size)
    return build(spec), torch.randn(3, channels, size, size, dtype=torch.float64)


@pytest.mark.parametrize(("name", "channels", "size"), REGISTERED + OTHERS, ids=lambda v: str(v))
def test_every_backbone_forgets_like_algorithm_1(name, channels, size, roughen, literal):
    plain, x = small(name, channels, size)
    plain = roughen(plain.requires_grad_(False))
    net = roughen(WFNet(plain, 5, recipe(name).layers)).requires_grad_(False)
    before = plain(x)
    assert torch.equal(net(x), before) and before.shape == (3, 5)
    wanted = literal(plain, net, x, [(3,), (), (0,)])
    torch.testing.assert_close(net(x, forget=torch.tensor([3, -1, 0])), wanted)
    assert (wanted[[0, 2]] - before[[0, 2]]).abs().amax(1).min() > 1e-6
    several = torch.cat([x, x[:1]])  # as many as are folded into the weights
    torch.testing.assert_close(net(several, forget=3)[[0, 3]], wanted[[0, 0]])
    baked = net.bake((1, 3))
    torch.testing.assert_close(net(several, forget=(1, 3)), baked(several))
    assert baked.state_dict().keys() == net.backbone_state().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("size", [28, 32])
def test_the_sizes_of_mnist_and_cifar(name, size):
    with torch.device("meta"):
        net = build(BackboneSpec(name, 7, 3, size)).eval()
        assert net(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_small_pictures_get_a_small_stem():
    for size, stride in ((32, 1), (64, 1), (96, 2)):
        with torch.device("meta"):
            assert build(BackboneSpec("resnet18", 7, 3, size)).conv1.stride == (stride, stride)
            assert build(BackboneSpec("resnet50", 7, 1, size)).conv1.stride == (stride, stride)


@pytest.mark.parametrize("size", range(2, 65))
def test_patches_divide_the_picture(size):
    patch = patch_size(size)
    assert size % patch == 0 and size // patch <= 8


def test_a_seed_gives_the_same_network():
    torch.manual_seed(3)
    first = build(BackboneSpec("vit_micro", 5, 1, 8)).state_dict()
    torch.manual_seed(3)
    second = build(BackboneSpec("vit_micro", 5, 1, 8)).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (BackboneSpec("resnet81", 10, 3, 32), "did you mean resnet18"),
        (BackboneSpec("vit_tyny", 10, 3, 32), "did you mean vit_tiny"),
        (BackboneSpec("cnm", 10, 1, 8), "did you mean cnn"),
        (BackboneSpec("", 10, 1, 8), "unknown backbone"),
        (BackboneSpec("vit_tiny_patch16_244", 10, 3, 224), "did you mean vit_tiny_patch16_224"),
        (BackboneSpec("cnn", 10, 2, 8), "1 or 3 channels"),
        (BackboneSpec("cnn", 10, 1, 3), "at least 4 px"),
        (BackboneSpec("cnn", 10, 1, 8, pretrained=True), "no pretrained weights"),
        (BackboneSpec("vit_micro", 10, 1, 8, pretrained=True), "no pretrained weights"),
        (BackboneSpec("squeezenet1_1", 10, 1, 32), "3 channels"),
        (BackboneSpec("squeezenet1_1", 10, 3, 8), "cannot be built for 3 x 8 x 8 pictures"),
        (BackboneSpec("resnet18", 10, 3, 0), "1 to 4096 px"),
        (BackboneSpec("cnn", 10, 1, 10**6), "1 to 4096 px"),
        (BackboneSpec("cnn", 1, 1, 8), "at least two classes"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_told_in_a_sentence(spec, said):
    with pytest.raises(WfvizError) as caught:
        build(spec)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny", "mobilenetv3_small_050"])
def test_weights_that_cannot_be_fetched_are_told_in_a_sentence(name, monkeypatch):
    import timm

    def offline(*_, **how):
        assert how["pretrained"]
        raise ConnectionError("[Errno -2] Name or service not known\nretrying")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(WfvizError) as caught:
        build(BackboneSpec(name, 1000, 3, 224, pretrained=True))
    assert "could not be fetched" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "size", "said"), [
    ("resnet18", 224, "have 1000 classes, not 10"), ("vit_tiny", 224, "have 1000 classes, not 10"), ("squeezenet1_1", 224, "have 1000 classes, not 10"),
    ("resnet18", 32, "no pretrained weights of resnet18 for pictures of 32 px"),
])  # fmt: skip
def test_weights_of_other_classes_are_no_start(name, size, said):
    """A head of chance would be untrained around, without a word."""
    with pytest.raises(WfvizError, match=said):
        build(BackboneSpec(name, 10, 3, size, pretrained=True))


def test_a_network_has_one_answer():
    net = build(BackboneSpec("googlenet", 10, 3, 64)).train()
    assert net(torch.randn(2, 3, 64, 64)).shape == (2, 10)


def test_recipes():
    assert recipe("cnn").layers == ("conv*", "fc1", "fc2")
    assert [name for name in names() if recipe(name).transformer] == ["vit_micro", "vit_tiny", "vit_small"]
    assert recipe("deit_tiny_patch16_224").optimizer == "adamw" and recipe("mobilenetv3_small_050").optimizer == "sgd"


def test_pretrained_weights_bring_their_normalisation():
    import timm

    inputs = InputSpec(3, 224, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    net = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    assert pretrained_inputs(net, inputs) == InputSpec(3, 224, (0.5,) * 3, (0.5,) * 3)
    assert pretrained_inputs(torch.nn.Linear(2, 2), inputs) is inputs
    assert pretrained_inputs(net, InputSpec(1, 224, (0.1,), (0.2,))).mean == (0.1,)

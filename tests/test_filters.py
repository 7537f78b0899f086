"""What a filter does: profiles against a slow loop, closed filters against masked weights."""

import copy

import numpy as np
import pytest
import torch

from wfviz.data import Pictures
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.filters import confusion, predictions, profile, visualise
from wfviz.pictures import normalize
from wfviz.specs import InputSpec


@pytest.fixture
def pictures():
    return Pictures(torch.randint(0, 256, (7, 1, 8, 8), dtype=torch.uint8), torch.arange(7))


def test_profile_is_activation_and_gradient_times_activation(net, pictures):
    found = profile(net, "conv2", pictures, batch_size=3)
    plain = net.backbone
    for i in range(len(pictures)):
        x = normalize(pictures.pixels[i : i + 1], net.inputs)
        y = plain.conv2.inner(plain.pool(plain.act(plain.conv1.inner(x)))).detach().requires_grad_()
        rest = plain.act(plain.fc1.inner(plain.pool(plain.act(y)).flatten(1)))
        plain.fc3(plain.act(plain.fc2.inner(rest))).max().backward()
        np.testing.assert_allclose(found.activation[i], y.detach().clamp(min=0)[0].mean((1, 2)).numpy(), atol=1e-5)
        np.testing.assert_allclose(found.relevance[i], (y * y.grad)[0].sum((1, 2)).detach().numpy(), atol=1e-4)


def test_closed_filters_are_masked_weights(net, pictures):
    masked = copy.deepcopy(net)
    with torch.no_grad():
        for index, level in ((3, 0.25), (5, 0.25)):
            masked.backbone.conv2.inner.weight[index] *= level
            masked.backbone.conv2.inner.bias[index] *= level
    expected = masked(normalize(pictures.pixels, net.inputs)).argmax(1).numpy()
    np.testing.assert_array_equal(predictions(net, pictures, closed={"conv2": [3, 5]}, level=0.25, batch_size=2), expected)
    np.testing.assert_array_equal(predictions(net, pictures), net(normalize(pictures.pixels, net.inputs)).argmax(1).numpy())


def test_confusion_counts_pairs():
    found = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert found.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_visualised_picture_drives_its_filter(net):
    picture = visualise(net, "conv1", 4, steps=40)
    assert picture.shape == (8, 8) and picture.dtype == np.uint8

    def activity(pixels):
        shown = Pictures(torch.as_tensor(pixels)[None, None], torch.zeros(1))
        return profile(net, "conv1", shown).activation[0, 4]

    rng = np.random.default_rng(0)
    assert activity(picture) > max(activity(rng.integers(0, 256, (8, 8), dtype=np.uint8)) for _ in range(5))
    np.testing.assert_array_equal(picture, visualise(net, "conv1", 4, steps=40))


@pytest.mark.parametrize(
    "call",
    [
        lambda net, p: profile(net, "conv9", p),
        lambda net, p: visualise(net, "conv1", 32),
        lambda net, p: predictions(net, p, closed={"fc3": [0]}),
        lambda net, p: predictions(net, p, closed={"conv1": [-1]}),
    ],
)
def test_what_is_not_there_is_a_sentence(net, pictures, call):
    with pytest.raises(WfvizError) as error:
        call(net, pictures)
    assert "\n" not in str(error.value)


def test_profile_of_windows_that_are_folded_into_the_batch():
    """Swin sees every picture as several: a row for each picture all the same."""
    import timm

    swin = timm.create_model("swin_tiny_patch4_window7_224", num_classes=4, img_size=16, patch_size=2, window_size=2, in_chans=1, embed_dim=8, depths=(1, 1), num_heads=(1, 1))
    net = WFNet(swin, 4, layers=("*attn.qkv", "*mlp.fc1"), inputs=InputSpec(1, 16, (0.5,), (0.5,))).eval()
    some = Pictures(torch.randint(0, 256, (5, 1, 16, 16), dtype=torch.uint8), torch.arange(5) % 4)
    for layer in net.layers:
        whole, width = profile(net, layer, some, batch_size=5), net.gated()[layer].inner.weight.shape[0]
        assert whole.activation.shape == whole.relevance.shape == (5, width)
        alone = profile(net, layer, some.subset(torch.tensor([3])))
        np.testing.assert_allclose(whole.activation[3], alone.activation[0], atol=1e-5)


def test_a_layer_that_is_read_without_a_call_has_no_profile(pictures):
    class Reader(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.read, self.head = torch.nn.Linear(64, 6), torch.nn.Linear(6, 3)

        def forward(self, x):
            return self.head(torch.nn.functional.linear(x.flatten(1), self.read.weight, self.read.bias))

    net = WFNet(Reader(), 3, layers=("read",), inputs=InputSpec(1, 8, (0.5,), (0.5,))).eval()
    for call in (lambda: profile(net, "read", pictures), lambda: visualise(net, "read", 0, steps=1)):
        with pytest.raises(WfvizError, match="without calling it"):
            call()

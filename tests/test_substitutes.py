"""What to learn from without the training set: nothing of it is looked at, and the pictures are what they say."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from wfviz import checkpoints
from wfviz.data import load_data
from wfviz.errors import WfvizError
from wfviz.pictures import normalize
from wfviz.specs import InputSpec
from wfviz.substitutes import PHOTOS, borrowed, learning_data, photographs, synthetic


@pytest.fixture(scope="module")
def net():
    return checkpoints.load("checkpoints/digits-cnn")


@pytest.fixture(scope="module")
def data():
    """The digits without their training and test pictures: who asks for them fails."""
    return replace(load_data("digits"), train=None, test=None)


def predicted(net, pictures, inputs):
    with torch.no_grad():
        return net(normalize(pictures.pixels, inputs)).argmax(1)


def test_the_training_set_itself(net):
    whole = load_data("digits")
    assert learning_data(whole, "train", net) is whole


def test_held_out_pictures_are_learned_from_or_validated_on(net, data):
    found = learning_data(data, "val", net)
    both = sorted(bytes(p) for part in (found.train, found.val) for p in part.pixels.numpy().reshape(len(part), -1))
    assert both == sorted(bytes(p) for p in data.val.pixels.numpy().reshape(len(data.val), -1)) and abs(len(found.train) - len(found.val)) <= 1
    assert torch.equal(learning_data(data, "val", net).train.pixels, found.train.pixels)
    assert not torch.equal(learning_data(data, "val", net, seed=1).train.pixels, found.train.pixels)


def test_synthetic_pictures_are_taken_for_their_class(net, data):
    found = synthetic(net, data.inputs, 10, 6, steps=60, batch_size=25)
    assert found.pixels.shape == (60, 1, 8, 8) and found.pixels.dtype == torch.uint8
    assert torch.bincount(found.labels).tolist() == [6] * 10
    assert (predicted(net, found, data.inputs) == found.labels).float().mean() > 0.9
    assert torch.equal(found.pixels, synthetic(net, data.inputs, 10, 6, steps=60, batch_size=25).pixels)


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_synthetic_pictures_match_what_batchnorm_remembers(half, data):
    """The statistics of a batch come nearer to the running ones; the network stays as it was, without hooks."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    inputs = data.inputs
    with torch.no_grad():
        z = net[0](normalize(data.val.pixels, inputs))
        net[1].running_mean.copy_(z.mean((0, 2, 3)))
        net[1].running_var.copy_(z.var((0, 2, 3)))
    before, parts = {k: v.clone() for k, v in net.state_dict().items()}, []
    distances = []
    for steps in (1, 100):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            pictures = synthetic(net, inputs, 2, 8, steps=steps, progress=parts.append)
        with torch.no_grad():
            z = net[0](normalize(pictures.pixels, inputs))
        distances.append(float((z.mean((0, 2, 3)) - net[1].running_mean).norm() + (z.var((0, 2, 3)) - net[1].running_var).norm()))
    assert distances[1] < 0.7 * distances[0]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items()) and not net[1]._forward_pre_hooks
    assert parts[0] == 1.0 and parts[1:] == sorted(parts[1:]) and len(parts) == 101


def test_other_pictures_are_called_what_the_network_takes_them_for(net, data):
    others = photographs(InputSpec(3, 20, (0.0,) * 3, (1.0,) * 3), 400)
    found = borrowed(net, data, others)
    assert found.pixels.shape[1:] == (1, 8, 8) and torch.equal(predicted(net, found, data.inputs), found.labels)
    counts = torch.bincount(found.labels, minlength=10)
    assert counts.min() == counts.max() == 40


def test_photographs_fit_and_come_back():
    inputs = InputSpec(3, 12, (0.0,) * 3, (1.0,) * 3)
    one, again, other = (photographs(inputs, 30, seed) for seed in (0, 0, 1))
    assert one.pixels.shape == (30, 3, 12, 12) and torch.equal(one.pixels, again.pixels) and not torch.equal(one.pixels, other.pixels)
    large = photographs(InputSpec(3, 224, (0.0,) * 3, (1.0,) * 3), 60).pixels
    assert len({one.numpy().tobytes() for one in large}) == 60  # not the same few crops again
    assert photographs(InputSpec(1, 640, (0.0,), (1.0,)), 2).pixels.shape == (2, 1, 640, 640)


def test_learning_and_validation_do_not_share_pictures(net, data):
    found = learning_data(data, PHOTOS, net)
    assert found.test is None and len(found.val) * 8 < len(found.train)


@pytest.mark.parametrize(("source", "why"), [("digits", "is the data set itself"), ("mnits", "mnist"), ("./nowhere", "no folder")])
def test_sources_that_cannot_be(source, why, net, data):
    with pytest.raises(WfvizError, match=why):
        learning_data(data, source, net)


def test_classes_that_nothing_is_taken_for(data):
    always = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(always[1].weight)
    with torch.no_grad():
        always[1].bias.copy_(torch.arange(10.0))
    with pytest.raises(WfvizError, match="none of these pictures for 0, 1, 2, 3, 4, 5, 6, 7, 8;"):
        borrowed(always, data, photographs(data.inputs, 5))

"""What is looked at, one layer or all, and what every gate is called."""

import numpy as np
import pytest

from wfviz.heads import heads_of, is_joint, place
from wfviz.scope import ALL, moved, scope_of

CNN = {"conv1": np.full((3, 2), 0.25), "conv2": np.full((3, 4), 0.5)}
VIT = {"blocks.0.attn.qkv": np.zeros((2, 24)), "blocks.1.attn.qkv": np.ones((2, 24))}
HEADS = {name: 2 for name in VIT}


def test_one_layer_and_all_layers():
    one, whole = scope_of(CNN, "conv2"), scope_of(CNN, ALL)
    assert (one.title, whole.title) == ("conv2", ALL) and one.gates is not None
    np.testing.assert_array_equal(one.gates, CNN["conv2"])
    np.testing.assert_array_equal(whole.gates, np.concatenate([CNN["conv1"], CNN["conv2"]], axis=1))
    assert [one.name(i) for i in range(4)] == [f"filter {i}" for i in range(4)]
    assert whole.name(3) == "filter 1 of conv2" and whole.columns["filter 1 of conv2"] == 3
    assert whole.band(0) == "conv1" and one.band(0) == "" and whole.layers == ("conv1", "conv2")
    assert whole.by_layer([0, 5, 2]) == {"conv1": [0], "conv2": [3, 0]}
    assert one.described(3) == "filter 3 of conv2"


def test_every_output_of_a_joint_projection_has_its_part_head_and_feature():
    """In the order of a reshape to [3, heads, features]."""
    slow = [(part, head, feature) for part in "qkv" for head in range(2) for feature in range(4)]
    assert [place(i, 24, 2) for i in range(24)] == slow
    scope = scope_of(VIT, "blocks.1.attn.qkv", HEADS)
    assert [(p.part, p.head, p.feature) for p in scope.places] == slow
    assert scope.label(13) == "k #13" and scope.band(13) == "head 1"
    assert scope.described(13) == "filter 13 of blocks.1.attn.qkv (key, head 1, feature 1)"
    assert scope_of(VIT, ALL, HEADS).label(24 + 13) == "h1 k #13"
    ordered = sorted(range(24), key=scope.order)
    assert [scope.places[i].head for i in ordered] == [0] * 12 + [1] * 12
    assert [scope.places[i].part for i in ordered[:12]] == [*"qqqqkkkkvvvv"]


@pytest.mark.parametrize("heads", [{}, {"blocks.0.attn.qkv": 0}, {"blocks.0.attn.qkv": 3}], ids=["unknown", "none", "uneven"])
def test_heads_that_are_not_known_are_not_guessed(heads):
    scope = scope_of(VIT, "blocks.0.attn.qkv", heads)
    assert {p.head for p in scope.places} == {p.feature for p in scope.places} == {None}
    width = len(scope.places) // 3
    assert [p.part for p in scope.places] == ["q"] * width + ["k"] * width + ["v"] * width
    assert scope.described(width) == f"filter {width} of blocks.0.attn.qkv (key)" and scope.label(0) == "q #0" and scope.band(0) == ""
    assert scope_of(VIT, ALL, heads).label(0) == "q #0"
    assert is_joint("blocks.0.attn.qkv", 24) and not is_joint("blocks.0.attn.qkv", 25) and not is_joint("conv1", 24)


def test_heads_are_those_of_the_backbone():
    spec = {"name": "vit_micro", "n_classes": 10, "channels": 1, "size": 8, "pretrained": False}
    assert heads_of(spec) == {f"blocks.{i}.attn.qkv": 4 for i in range(4)}
    assert heads_of({**spec, "name": "cnn"}) == {} and heads_of({**spec, "name": "no_such_net"}) == {}


@pytest.mark.parametrize(
    ("name", "before", "now", "after"),
    [
        ("filter 1", "conv1", "conv1", "filter 1"),
        ("filter 1", "conv1", ALL, "filter 1 of conv1"),
        ("filter 1 of conv1", ALL, "conv1", "filter 1"),
        ("filter 1 of conv1", ALL, "conv2", None),
        ("filter 1", "conv1", "conv2", None),
    ],
)
def test_a_filter_is_followed_from_scope_to_scope(name, before, now, after):
    assert moved(name, before, now) == after

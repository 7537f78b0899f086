"""WFNet around networks of all sorts: what it promises apart from the algebra of its layers."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from wfviz.backbones import CNN, build
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.filtering.layers import WFBatchNorm2d
from wfviz.specs import BackboneSpec, InputSpec


def small(channels: int = 1) -> nn.Module:
    """Two convolutions with BatchNorm, three classes."""
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )


class Named(nn.Module):
    """A user's network whose names are those that the wrapping uses itself."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(1, 4, 3)
        self.dinner = nn.ModuleDict({"inner": nn.Conv2d(4, 4, 1), "norm": nn.BatchNorm2d(4)})
        self.alpha_scale = nn.Parameter(torch.randn(4, 1, 1))
        self.alpha_weight = nn.Linear(4, 3)

    def forward(self, x):
        x = self.dinner["norm"](self.dinner["inner"](self.inner(x).relu() * self.alpha_scale))
        return self.alpha_weight(x.mean((2, 3)))


def test_the_backbone_is_copied_and_left_alone():
    plain = small().train()
    before = copy.deepcopy(plain.state_dict())
    net = WFNet(plain, 3)
    net.train()(torch.randn(4, 1, 9, 9), forget=torch.tensor([0, 1, 2, -1])).sum().backward()
    assert plain.training and all(p.requires_grad and p.grad is None for p in plain.parameters())
    assert [type(m) for m in plain] == [type(m) for m in small()]
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in before.items())


def test_only_the_gates_learn_and_batch_norm_stays_as_it_is():
    net = WFNet(small(), 3).train()
    assert net.training and not any(m.training for m in net.backbone.modules())
    assert {id(p) for p in net.parameters() if p.requires_grad} == {id(a) for a in net.alpha_parameters()}
    before = {k: v.clone() for k, v in net.backbone_state().items()}
    optimizer = torch.optim.SGD(net.alpha_parameters(), 1.0)
    net(torch.randn(8, 1, 9, 9) + 3, forget=torch.arange(8) % 3).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(value, net.backbone_state()[key]) for key, value in before.items())
    assert all((a != 3.0).any() for a in net.alpha_parameters())


def test_gates_start_open_and_are_copies():
    net = WFNet(small(), 3, alpha_start=2.0)
    assert net.layers == ("0", "3") and net.classes == ("0", "1", "2")
    gates = net.gates()
    assert {layer: {k: tuple(v.shape) for k, v in kinds.items()} for layer, kinds in gates.items()} == {
        "0": {"weight": (3, 6)}, "3": {"weight": (3, 8), "bias": (3, 8)},
    }
    assert all((g == torch.sigmoid(torch.tensor(2.0))).all() and not g.requires_grad for k in gates.values() for g in k.values())
    gates["0"]["weight"].zero_()
    assert (net.gates()["0"]["weight"] > 0.8).all()


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 16])
def test_a_mixed_batch_is_its_pictures_one_by_one(net, number):
    x, rows = torch.randn(number, 1, 8, 8), torch.randint(-1, 10, (number,))
    alone = torch.cat([net(x[i : i + 1], forget=None if rows[i] < 0 else int(rows[i])) for i in range(number)])
    torch.testing.assert_close(net(x, forget=rows), alone, rtol=1e-4, atol=1e-5)


def test_threads_on_one_network_do_not_see_each_other(roughen):
    plain = roughen(small(), torch.float32)
    net = roughen(WFNet(plain, 3), torch.float32).requires_grad_(False)
    x = torch.randn(6, 1, 9, 9)
    asked = [None, 0, 1, 2, (0, 2), torch.tensor([0, 1, 2, -1, 0, 1]), torch.tensor([2, 2, 1, 0, -1, -1])]
    alone = [net(x, forget=forget) for forget in asked]
    assert len({tuple(logits.flatten().tolist()) for logits in alone}) == len(asked)

    def work(first: int) -> int:
        wrong = 0
        for i in range(first, first + 210):
            logits = net(x, forget=asked[i % len(asked)])
            wrong += not torch.allclose(logits, alone[i % len(asked)], rtol=1e-5, atol=1e-6)
        return wrong

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, (0, 3))) == [0, 0]


def test_an_error_inside_leaves_nothing_behind(net):
    x = torch.randn(3, 1, 8, 8)
    before = net(x)
    hook = net.backbone.fc1.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        net(x, forget=2)
    hook.remove()
    assert torch.equal(net(x), before)


def test_a_copy_is_on_its_own(roughen):
    net = roughen(WFNet(small(), 3), torch.float32)
    x = torch.randn(5, 1, 9, 9)
    twin = copy.deepcopy(net)
    rows = torch.tensor([0, 1, 2, -1, 1])
    assert torch.equal(twin(x, forget=rows), net(x, forget=rows)) and torch.equal(twin(x, forget=1), net(x, forget=1))
    before = net(x, forget=rows), net(x, forget=1)
    with torch.no_grad():
        for alpha in twin.alpha_parameters():
            alpha.fill_(-1e4)
    assert torch.equal(net(x, forget=rows), before[0]) and torch.equal(net(x, forget=1), before[1])
    closed = twin(x, forget=rows.clamp(min=0))
    torch.testing.assert_close(closed, closed[:1].expand_as(closed))  # the copy's BatchNorms apply the copy's gates


def test_a_network_that_uses_our_own_names(roughen, literal):
    plain = roughen(Named())
    net = roughen(WFNet(plain, 3))
    assert net.layers == ("inner", "dinner.inner")
    state = net.backbone_state()
    assert state.keys() == plain.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in plain.state_dict().items())
    other = Named().double()
    other.load_state_dict(state)
    x = torch.randn(4, 1, 9, 9, dtype=torch.float64)
    assert torch.equal(WFNet(other, 3)(x), net(x))
    torch.testing.assert_close(net(x, forget=1), literal(plain, net, x, [(1,)] * 4))


def test_layers_that_are_the_users_own_stay_ungated(roughen, literal):
    plain = roughen(CNN(4, 1, 8))
    net = roughen(WFNet(plain, 4, layers="fc*"))
    assert net.layers == ("fc1", "fc2") and type(net.backbone.conv1) is nn.Conv2d
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(net(x, forget=torch.tensor([3, 0, -1])), literal(plain, net, x, [(3,), (0,), ()]))


def test_the_batch_norms_do_the_work_of_the_gates(roughen):
    """A mixed batch costs no multiplication of its own: every gate of this network goes with a BatchNorm."""
    net = WFNet(build(BackboneSpec("resnet18", 10, 3, 8)), 10)
    assert sum(isinstance(m, WFBatchNorm2d) for m in net.modules()) == len(net.layers)


def test_mixed_precision_stays_close(roughen):
    net = roughen(WFNet(small(), 3), torch.float32)
    x, rows = torch.randn(4, 1, 9, 9), torch.tensor([0, 1, -1, 2])
    for forget in (None, 1, (0, 1), rows):
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            logits = net(x, forget=forget).float()
        torch.testing.assert_close(logits, net(x, forget=forget), rtol=0.1, atol=0.1)


# --- gates of one's own -------------------------------------------------------------------------


def test_given_gates_are_those_of_a_row(roughen):
    net = roughen(WFNet(small(), 3))
    x, gates = torch.randn(5, 1, 9, 9, dtype=torch.float64), net.gates()
    row = {layer: {kind: g[2] for kind, g in kinds.items()} for layer, kinds in gates.items()}
    torch.testing.assert_close(net(x, given=row), net(x, forget=2))
    rows = torch.tensor([0, 2, 1, 1, 0])
    mixed = {layer: {kind: g[rows] for kind, g in kinds.items()} for layer, kinds in gates.items()}
    torch.testing.assert_close(net(x, given=mixed), net(x, forget=rows))
    torch.testing.assert_close(net(x, given={}), net(x))
    torch.testing.assert_close(net(x, given={"3": torch.ones(8)}), net(x))


@pytest.mark.parametrize(
    ("given", "said"),
    [({"1": torch.ones(6)}, "unknown gated layer"), ({"0": torch.ones(5)}, "[6]"), ({"0": torch.ones(4, 6)}, "[5, 6]"), ({"0": 1.0}, "[6]")],
    ids=str,
)
def test_given_gates_that_do_not_fit_are_refused(given, said):
    with pytest.raises(WfvizError) as caught:
        WFNet(small(), 3)(torch.randn(5, 1, 9, 9), given=given)
    assert said in str(caught.value)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(1, 8, 8), "not [1, 8, 8]"), (torch.zeros(2, 1, 8, 9), "not [1, 8, 9]"), (torch.zeros(2, 3, 8, 8), "not [3, 8, 8]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "uint8"), (np.zeros((2, 1, 8, 8)), "ndarray"), (None, "NoneType"),
    ],
    ids=["no batch", "wide", "colour", "uint8", "numpy", "none"],
)
def test_pictures_that_do_not_fit_are_told_in_a_sentence(net, x, said):
    with pytest.raises(WfvizError) as caught:
        net(x)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "index"), [("cat", 1), ("1", 1), (2, 2), ("0", 0), ("7", 2), (np.int64(0), 0)], ids=str)
def test_a_class_by_name_or_number(name, index):
    net = WFNet(small(), 3, classes=("dog", "cat", "7"))
    assert net.class_index(name) == index


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cta", "did you mean cat"), ("zebra", "known: dog, cat, bird"), ("3", "out of range"), ("-1", "out of range"), (3, "out of range"),
        ("", "unknown class"), ("--2", "unknown class"), ("²", "unknown class"), ("1.0", "unknown class"), ("1_0", "unknown class"),
        (1.5, "no class"), (None, "no class"), (True, "no class"),
    ],
    ids=str,
)
def test_a_class_that_is_not_there_is_told_in_a_sentence(name, said):
    net = WFNet(small(), 3, classes=("dog", "cat", "bird"))
    with pytest.raises(WfvizError) as caught:
        net.class_index(name)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_names_have_to_be_as_many_as_classes():
    with pytest.raises(WfvizError, match="2 class names were given for 3 classes"):
        WFNet(small(), 3, classes=("a", "b"))


@pytest.mark.parametrize("forget", [None, (), torch.tensor([1]), 3, "cat"], ids=str)
def test_only_a_class_or_several_can_be_baked(forget):
    with pytest.raises(WfvizError):
        WFNet(small(), 3).bake(forget)


def test_transform_gives_what_a_network_in_half_precision_takes(net):
    half = copy.deepcopy(net).to(torch.bfloat16)
    x = half.transform(np.zeros((8, 8), dtype=np.uint8))
    assert x.dtype == torch.bfloat16 and half(x[None]).dtype == torch.bfloat16


def test_transform_gives_what_the_network_takes(net):
    picture = (np.arange(64, dtype=np.uint8) * 4).reshape(8, 8)
    tensor = net.transform(picture)
    torch.testing.assert_close(tensor, (torch.from_numpy(picture)[None].float() / 255 - 0.3) / 0.4)
    assert net(tensor[None]).shape == (1, 10)
    with pytest.raises(WfvizError, match="InputSpec"):
        WFNet(small(), 3).transform(picture)
    with pytest.raises(WfvizError, match="str"):
        net.transform("picture.png")


def test_inputs_are_checked_where_they_are_known():
    net = WFNet(small(), 3, inputs=InputSpec(1, 9, (0.0,), (1.0,)))
    assert net(torch.zeros(2, 1, 9, 9)).shape == (2, 3)
    with pytest.raises(WfvizError, match="pictures of shape"):
        net(torch.zeros(2, 1, 12, 12))


class Windows(nn.Module):
    """Space is folded into the batch, as by windowed attention."""

    def __init__(self):
        super().__init__()
        self.inside, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.inside(x.reshape(-1, 4)).relu().reshape(len(x), -1, 5).mean(1))


def test_rows_where_space_is_folded_into_the_batch():
    """Rows of α and rows of one's own: as if every picture had come alone."""
    net = WFNet(Windows(), 3, "inside").eval()
    with torch.no_grad():
        net.backbone.inside.alpha_weight.normal_()
    x, own, rows = torch.randn(6, 1, 4, 4), torch.rand(3, 5)[[0, 1, 2, 1, 0, 0]], torch.tensor([2, -1, 0, 0, 1, 2])
    both = {"weight": own, "bias": own[0]}
    for of in ({"given": {"inside": own}}, {"given": {"inside": both}}, {"forget": rows}):
        alone = []
        for i in range(6):
            if "forget" in of:
                alone.append(net(x[i : i + 1], forget=rows[i : i + 1]))
            else:
                gate = {"weight": own[i], "bias": own[0]} if of["given"]["inside"] is both else own[i]
                alone.append(net(x[i : i + 1], given={"inside": gate}))
        assert torch.allclose(net(x, **of), torch.cat(alone), atol=1e-6)


class TokensFirst(nn.Module):
    """As nn.TransformerEncoder without batch_first: [tokens, samples, features]."""

    def __init__(self):
        super().__init__()
        self.stem, self.value, self.head = nn.Conv2d(1, 6, 2, stride=2), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        tokens = self.stem(x).flatten(2).permute(2, 0, 1)
        return self.head(self.value(tokens).relu().mean(0))


@pytest.mark.parametrize("batch", [3, 4, 5])
def test_tokens_first(batch, roughen):
    """Also where a batch has as many samples as a picture has tokens, 4 here, and nothing tells them apart by number."""
    net = roughen(WFNet(TokensFirst(), 3, ("value",)), torch.float32)
    x, forget = torch.randn(batch, 1, 4, 4), torch.arange(batch) % 4 - 1
    alone = torch.cat([net(x[i : i + 1], forget=None if c < 0 else int(c)) for i, c in enumerate(forget)])
    torch.testing.assert_close(net(x, forget=forget), alone)
    rows = torch.rand(batch, 6)
    torch.testing.assert_close(net(x, given={"value": rows}), torch.cat([net(x[i : i + 1], given={"value": rows[i]}) for i in range(batch)]))


def test_another_thread_in_the_network_does_not_fold_it(roughen):
    """A whole batch of another session passes the same layers while one picture tells how they see it."""
    net = roughen(WFNet(small(), 3), torch.float32)
    real = net.backbone.forward

    def busy(x):
        if len(x) == 1:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(net.backbone[0], torch.randn(5, 1, 8, 8)).result()
        return real(x)

    net.backbone.forward = busy
    net(torch.randn(2, 1, 8, 8), forget=torch.tensor([0, 1]))
    assert net._folding is False

"""Learning α: the batches it is learned from, and runs that are interrupted."""

import copy
import json
import math
import signal

import pytest
import torch
import torch.nn.functional as F

from wfviz import untraining
from wfviz.backbones import CNN
from wfviz.data import Data, Pictures, load_data
from wfviz.deep import HeadInput
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.objective import objective
from wfviz.pictures import normalize
from wfviz.specs import UntrainSpec
from wfviz.training import generator, load_state, make_accelerator, optimizer
from wfviz.untraining import STATE, check, expand, untrain, validate

C = 10


@pytest.fixture
def digits() -> Data:
    """A few of them."""
    whole = load_data("digits")
    few = [part.subset(torch.arange(n)) for part, n in ((whole.train, 100), (whole.val, 40), (whole.test, 10))]
    return Data("digits", whole.classes, whole.inputs, *few)


@pytest.fixture
def fresh(digits):
    """Networks that start alike."""
    plain = CNN(C, 1, 8)
    return lambda: WFNet(plain, C, ("conv*", "fc*"), inputs=digits.inputs)


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "chi"), [(8, 3), (9, 2), (2, 1), (128, 5)])
def test_the_batch_it_is_learned_from(number, chi):
    x, y = torch.arange(number).float().view(-1, 1, 1, 1), torch.randint(0, C, (number,))
    got_x, got_y, rows, forgets = expand(x, y, C, chi, generator(0, 0, 2))
    half = number // 2
    assert got_x.flatten().tolist() == list(range(half)) + list(range(half, number)) * chi
    assert got_y.tolist() == [y[int(i)].item() for i in got_x.flatten()]
    assert forgets.tolist() == [True] * half + [False] * (chi * (number - half))
    assert all((row == label) == own for row, label, own in zip(rows.tolist(), got_y.tolist(), forgets.tolist(), strict=True))
    assert rows.min() >= 0 and rows.max() < C


def test_every_other_class_is_drawn_alike():
    y = torch.full((4000,), 3)
    rows = expand(torch.zeros(4000, 1), y, C, 5, generator(0, 1, 2))[2][2000:]
    counts = torch.bincount(rows, minlength=C)
    assert counts[3] == 0 and (counts[[c for c in range(C) if c != 3]] - 10_000 / 9).abs().max() < 150


def test_two_classes_leave_one_other():
    rows, forgets = expand(torch.zeros(6, 1), torch.tensor([0, 1, 0, 1, 1, 0]), 2, 2, generator(0, 0, 0))[2:]
    assert rows[~forgets].tolist() == [0, 0, 1] * 2


def test_one_step_is_the_gradient_of_the_objective(fresh, digits, tmp_path):
    """α after one step of plain SGD, from weights masked picture by picture."""
    net = fresh()
    spec = UntrainSpec(steps=1, batch_size=6, expansion=2, optimizer="sgd", lr=0.5, schedule="constant", lambda_gates=2.0, lambda_middle=0.3)
    slow = copy.deepcopy(net)
    accelerator = make_accelerator("cpu")
    untrain(net, digits, spec, tmp_path, accelerator, show=False)
    from wfviz.training import batch_indices

    indices = batch_indices(len(digits.train), 6, 0, 0)
    x, y, rows, forgets = expand(normalize(digits.train.take(indices), digits.inputs), digits.train.labels[indices], C, 2, generator(0, 0, 2))
    ce = torch.stack([F.cross_entropy(slow(x[i : i + 1], forget=int(rows[i])), y[i : i + 1]) for i in range(len(x))])
    gates = torch.cat([torch.sigmoid(a).flatten() for a in slow.alpha_parameters()])
    loss = ce[~forgets].mean() + (1 / (ce[forgets] + 0.1)).mean() + 2 * (1 - gates).mean() + 0.3 * (4 * gates * (1 - gates)).mean()
    loss.backward()
    for mine, other in zip(net.alpha_parameters(), slow.alpha_parameters(), strict=True):
        torch.testing.assert_close(mine.detach(), (other - 0.5 * other.grad).detach(), rtol=1e-4, atol=1e-6)


def test_one_step_beside_the_teacher(fresh, digits, tmp_path):
    """The original's view of a picture reaches every one of its copies."""
    from wfviz.objective import teacher
    from wfviz.training import batch_indices

    net = fresh()
    spec = UntrainSpec(steps=1, batch_size=6, expansion=3, optimizer="sgd", lr=0.5, schedule="constant", retain_loss="teacher", forget_loss="teacher", lambda_middle=0.3)
    slow = copy.deepcopy(net)
    untrain(net, digits, spec, tmp_path, make_accelerator("cpu"), show=False)
    indices = batch_indices(len(digits.train), 6, 0, 0)
    x, _, rows, forgets = expand(normalize(digits.train.take(indices), digits.inputs), digits.train.labels[indices], C, 3, generator(0, 0, 2))
    target = teacher(slow(x).detach(), rows)
    kl = torch.stack([F.kl_div(slow(x[i : i + 1], forget=int(rows[i])).log_softmax(1), target[i : i + 1], reduction="sum") for i in range(len(x))])
    gates = torch.cat([torch.sigmoid(a).flatten() for a in slow.alpha_parameters()])
    (kl[~forgets].mean() + kl[forgets].mean() + (1 - gates).mean() + 0.3 * (4 * gates * (1 - gates)).mean()).backward()
    for mine, other in zip(net.alpha_parameters(), slow.alpha_parameters(), strict=True):
        torch.testing.assert_close(mine.detach(), (other - 0.5 * other.grad).detach(), rtol=1e-4, atol=1e-6)


def test_validation_by_hand(fresh, digits, roughen):
    net = roughen(fresh(), torch.float32)
    found = validate(net, digits.val, UntrainSpec(), batch_size=16)
    assert found == pytest.approx(validate(net, digits.val, UntrainSpec(), batch_size=16))  # the same rows every time
    right = [int(net(normalize(digits.val.take(torch.tensor([i])), digits.inputs), forget=int(y)).argmax() == y) for i, y in enumerate(digits.val.labels)]
    assert found["acc_f"] == pytest.approx(sum(right) / len(right))
    assert 0 <= found["acc_r"] <= 1 and math.isfinite(found["loss"])


# --- runs ---------------------------------------------------------------------------------------

SPEC = UntrainSpec(steps=11, batch_size=16, evaluate_every=4, lr=0.3)


def alphas(net) -> list[torch.Tensor]:
    return [a.detach().clone() for a in net.alpha_parameters()]


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def interrupt_after(monkeypatch, *steps: int) -> None:
    """Ctrl-C during the steps of these numbers (counted from 1 over all runs to come)."""
    count = iter(range(1, 1000))

    def interrupted(*arguments, **more):
        if next(count) in steps and arguments[4] is not None:
            signal.raise_signal(signal.SIGINT)
        return objective(*arguments, **more)

    monkeypatch.setattr(untraining, "objective", interrupted)


def entries(folder) -> list[tuple]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [tuple(sorted((k, v) for k, v in e.items() if k not in ("seconds", "since"))) for e in lines if "loss" in e]


@pytest.mark.parametrize("spec", [SPEC, UntrainSpec(steps=11, batch_size=16, evaluate_every=4, lr=3.0, optimizer="momentum", schedule="constant")], ids=["adam", "momentum"])
def test_interrupted_and_resumed_is_uninterrupted(spec, fresh, digits, tmp_path, monkeypatch):
    accelerator = make_accelerator("cpu")
    whole = fresh()
    about = untrain(whole, digits, spec, tmp_path / "whole", accelerator, show=False)
    assert (about["state"], about["steps"]) == ("done", 11)
    # steps 2, 6 and 10 of the run; a validation (after 4, 8, 11) evaluates the objective once more
    interrupt_after(monkeypatch, 2, 2 + 4 + 1, 2 + 4 + 1 + 4 + 1)
    states = []
    for attempt in range(4):
        torch.rand(attempt)  # whatever else draws random numbers
        net = fresh()
        about = untrain(net, digits, spec, tmp_path / "parts", accelerator, resume=attempt > 0, show=False)
        states.append((about["state"], about["steps"]))
    assert states == [("interrupted", 2), ("interrupted", 6), ("interrupted", 10), ("done", 11)]
    assert same(alphas(net), alphas(whole))
    assert entries(tmp_path / "parts") == entries(tmp_path / "whole") and len(entries(tmp_path / "parts")) == 3


def test_the_best_validated_gates_stay(fresh, digits, tmp_path, monkeypatch):
    seen, losses = [], iter([3.0, 1.0, 2.0, 5.0])

    def scripted(net, *_):
        seen.append(alphas(net))
        return {"loss": next(losses), "acc_r": 0.0, "acc_f": 0.0}

    monkeypatch.setattr(untraining, "validate", scripted)
    net = fresh()
    about = untrain(net, digits, UntrainSpec(steps=8, batch_size=8, evaluate_every=2), tmp_path, make_accelerator("cpu"), show=False)
    assert (about["best_step"], about["validation"]["loss"], len(seen)) == (4, 1.0, 4)
    assert same(alphas(net), seen[1]) and not same(seen[1], seen[3])


@pytest.mark.parametrize(("patience", "state", "steps"), [(0, "done", 40), (3, "stopped early", 10), (5, "stopped early", 14), (100, "done", 40)])
def test_patience_ends_a_run(patience, state, steps, fresh, digits, tmp_path, monkeypatch):
    losses = iter([2.0, 1.0] + [1.5] * 100)
    monkeypatch.setattr(untraining, "validate", lambda *_: {"loss": next(losses), "acc_r": 0.0, "acc_f": 0.0})
    spec = UntrainSpec(steps=40, batch_size=4, evaluate_every=2, patience=patience)
    about = untrain(fresh(), digits, spec, tmp_path, make_accelerator("cpu"), show=False)
    assert (about["state"], about["steps"], about["best_step"]) == (state, steps, 4)


def test_patience_outlives_an_interruption(fresh, digits, tmp_path, monkeypatch):
    losses = iter([2.0, 1.0] + [1.5] * 100)
    monkeypatch.setattr(untraining, "validate", lambda *_: {"loss": next(losses), "acc_r": 0.0, "acc_f": 0.0})
    spec = UntrainSpec(steps=40, batch_size=4, evaluate_every=2, patience=3)
    interrupt_after(monkeypatch, 7)
    assert untrain(fresh(), digits, spec, tmp_path, make_accelerator("cpu"), show=False)["state"] == "interrupted"
    about = untrain(fresh(), digits, spec, tmp_path, make_accelerator("cpu"), resume=True, show=False)
    assert (about["state"], about["steps"], about["best_step"]) == ("stopped early", 10, 4)


def test_interrupted_before_the_first_validation_keeps_the_start(fresh, digits, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 1)
    net = fresh()
    before = alphas(net)
    about = untrain(net, digits, SPEC, tmp_path, make_accelerator("cpu"), show=False)
    assert (about["state"], about["steps"], about["best_step"]) == ("interrupted", 1, 0) and same(alphas(net), before)
    json.dumps(about, allow_nan=False)  # what goes into the card


def test_a_run_that_diverges_is_told(fresh, digits, tmp_path, monkeypatch):
    """One that was never finite is an error, and α is where it was; one that gets lost keeps the best and goes no further."""
    monkeypatch.setattr(untraining, "validate", lambda *_: {"loss": float("nan"), "acc_r": 0.0, "acc_f": 0.0})
    net = fresh()
    before = alphas(net)
    with pytest.raises(WfvizError, match="no validation gave a finite loss; give a smaller --lr"):
        untrain(net, digits, SPEC, tmp_path, make_accelerator("cpu"), show=False)
    assert same(alphas(net), before)

    def lost_at_two(net, *_):
        steps.append(len(steps))
        if len(steps) == 2:
            with torch.no_grad():
                net.alpha_parameters()[0].fill_(float("nan"))
        return {"loss": 1.0 if len(steps) == 1 else float("nan"), "acc_r": 0.0, "acc_f": 0.0}

    steps: list[int] = []
    monkeypatch.setattr(untraining, "validate", lost_at_two)
    about = untrain(net := fresh(), digits, UntrainSpec(steps=12, batch_size=16, evaluate_every=1), tmp_path, make_accelerator("cpu"), show=False)
    assert (about["state"], about["steps"], about["best_step"]) == ("stopped early", 2, 1)
    assert all(alpha.isfinite().all() for alpha in net.alpha_parameters())
    json.dumps(about, allow_nan=False)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224"])
def test_deep_with_a_network_that_takes_a_pass_for_every_row(name, digits):
    """Its head sees the pictures in parts; the features come back in the order of the pictures."""
    import timm

    net = WFNet(timm.create_model(name, num_classes=10, img_size=16, patch_size=2, window_size=2, in_chans=1, embed_dim=8, depths=(1, 1), num_heads=(1, 1)), 10)
    x, rows = torch.randn(6, 1, 16, 16), torch.tensor([3, 5, 3, 3, 5, 1])
    with torch.no_grad():
        for alpha in net.alpha_parameters():
            alpha.uniform_(-2, 2)
        with HeadInput(net.eval().backbone, 10) as head:
            net(x, forget=rows)
            found = untraining._features(net, head, x, rows)
            for i in range(6):
                net(x[i : i + 1], forget=int(rows[i]))
                assert torch.allclose(found[i], head.features[0], atol=1e-5)


def test_other_settings_are_not_resumed(fresh, digits, tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 3)
    untrain(fresh(), digits, SPEC, tmp_path, make_accelerator("cpu"), show=False)
    state = (tmp_path / STATE).read_bytes()
    with pytest.raises(WfvizError, match="other settings"):
        untrain(fresh(), digits, UntrainSpec(steps=12, batch_size=16), tmp_path, make_accelerator("cpu"), resume=True, show=False)
    assert (tmp_path / STATE).read_bytes() == state
    tensors, about = load_state(tmp_path / STATE, optimizer("adam", fresh().alpha_parameters(), 0.1), SPEC.digest())
    assert about["step"] == 3 and {key.partition(".")[0] for key in tensors} == {"now", "best"}


def test_a_frozen_network_learns_as_one_that_is_not(fresh, digits, tmp_path):
    """One that was loaded is frozen."""
    spec, found = UntrainSpec(steps=2, batch_size=20), []
    for name, net in (("new", fresh()), ("loaded", fresh().requires_grad_(False))):
        (tmp_path / name).mkdir()
        untrain(net, digits, spec, tmp_path / name, make_accelerator("cpu"), show=False)
        found.append(torch.cat([a.detach().flatten() for a in net.alphas().values()]))
    assert torch.equal(*found) and len(found[0].unique()) > 1


def test_epochs_and_evaluations_are_counted_in_steps(fresh, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(untraining, "validate", lambda *_: {"loss": 1.0, "acc_r": 0.0, "acc_f": 0.0})
    spec = UntrainSpec(epochs=1.5, batch_size=10, evaluate_every=0)
    about = untrain(fresh(), digits, spec, tmp_path, make_accelerator("cpu"), show=False)
    assert about["steps"] == 15 and len(entries(tmp_path)) == 8  # five an epoch of ten, and the last


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": "adma"}, "did you mean adam"), ({"optimizer": "muon"}, "unknown optimizer 'muon'"), ({"schedule": "cosin"}, "did you mean cosine"), ({"batch_size": 1}, "halved"),
        ({"epsilon": -1.0}, "epsilon"), ({"lr": float("nan")}, "lr"), ({"lr": 0.0}, "lr"), ({"lambda_forget": float("inf")}, "lambda_forget"),
        ({"expansion": 0}, "expansion"), ({"alpha_start": float("nan")}, "alpha_start"), ({"patience": -1}, "patience"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_told(changes, said):
    with pytest.raises(WfvizError) as caught:
        check(UntrainSpec(**changes))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_training_data_may_be_fewer_than_a_batch(fresh, digits, tmp_path):
    few = Data("few", digits.classes, digits.inputs, digits.train.subset(torch.arange(5)), digits.val, digits.test)
    about = untrain(fresh(), few, UntrainSpec(steps=2, batch_size=128, evaluate_every=1), tmp_path, make_accelerator("cpu"), show=False)
    assert about["state"] == "done" and math.isfinite(about["validation"]["loss"])
    assert isinstance(few.train, Pictures)

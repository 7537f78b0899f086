"""What the training loops share: batches, schedules, the log, stopping and going on."""

import json
import math
import re
import signal

import pytest
import torch
from torch import nn

from wfviz.errors import WfvizError
from wfviz.training import (
    OPTIMIZERS, Log, batch_indices, cosine, generator, load_state, make_accelerator, one_cycle, optimizer, save_state, steps_per_epoch, stopping,
)

# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "size"), [(100, 10), (103, 10), (7, 7), (5, 8), (64, 3)])
def test_an_epoch_is_a_permutation(n, size):
    per_epoch = steps_per_epoch(n, size)
    assert per_epoch == max(1, n // size)
    epochs = []
    for epoch in range(3):
        batches = [batch_indices(n, size, 0, epoch * per_epoch + step).tolist() for step in range(per_epoch)]
        assert all(len(batch) == min(size, n) for batch in batches)
        seen = sum(batches, [])
        assert len(set(seen)) == len(seen) and set(seen) <= set(range(n))
        epochs.append(tuple(seen))
    assert len(set(epochs)) == 3


@pytest.mark.parametrize("number", [2, 3, 4])
def test_processes_share_a_batch(number):
    for step in (0, 3, 11, 4):
        whole = batch_indices(50, 12, 5, step).tolist()
        parts = [batch_indices(50, 12, 5, step, (index, number)).tolist() for index in range(number)]
        assert sorted(sum(parts, [])) == sorted(whole) and max(map(len, parts)) - min(map(len, parts)) <= 1


def test_batches_depend_on_seed_and_step_alone():
    first = batch_indices(40, 8, 1, 7).tolist()
    batch_indices(40, 8, 1, 23)
    torch.rand(5)
    assert batch_indices(40, 8, 1, 7).tolist() == first
    assert batch_indices(40, 8, 2, 7).tolist() != first != batch_indices(40, 8, 1, 8).tolist()


def test_every_step_seed_and_stream_draws_its_own():
    drawn = {tuple(torch.rand(4, generator=generator(*key)).tolist()) for key in [(s, t, c) for s in range(4) for t in range(6) for c in range(4)]}
    assert len(drawn) == 4 * 6 * 4
    assert torch.equal(torch.rand(4, generator=generator(1, 2, 3)), torch.rand(4, generator=generator(1, 2, 3)))


# --- schedules and optimisers -------------------------------------------------------------------


def test_one_cycle_rises_for_a_fifth_and_falls():
    rates = [one_cycle(step, 100) for step in range(100)]
    assert rates[:20] == pytest.approx([(i + 1) / 20 for i in range(20)]) and rates[20] == 1
    assert rates[20:] == sorted(rates[20:], reverse=True) and 0 < rates[-1] < 0.01
    assert [one_cycle(0, total) for total in (1, 2, 3)] == [1.0, 1.0, 1.0]


def test_cosine_falls_to_nothing():
    assert [cosine(s, 4) for s in range(6)] == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0, 0])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_take_a_step_down(name):
    weight = nn.Parameter(torch.tensor([2.0]))
    opt = optimizer(name, [weight], 0.1)
    weight.square().sum().backward()
    opt.step()
    assert weight.item() < 2
    group = opt.param_groups[0]
    known = {"momentum": (0.9, True), "sgd": (0, False), "muon": (0.9, None)}
    assert (group.get("momentum"), group.get("nesterov")) == known.get(name, (None, None))


def test_an_unknown_optimiser_is_told():
    with pytest.raises(WfvizError, match="did you mean adam"):
        optimizer("adma", [], 0.1)


# --- accelerator --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "precision", "said"),
    [("cpu", "bf61", "did you mean bf16"), ("gpu", "no", "unknown device 'gpu'"), ("", "half", "unknown precision"), ("cpu:x", "no", "device"), ("meta", "no", "meta")],
)
def test_no_such_device_or_precision(device, precision, said):
    with pytest.raises(WfvizError) as caught:
        make_accelerator(device, precision)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_device_that_is_not_here_is_told():
    missing = [kind for kind in ("cuda", "xpu", "mps") if not (torch.accelerator.is_available() and torch.accelerator.current_accelerator().type == kind)]
    for kind in missing:
        with pytest.raises(WfvizError, match=f"no {kind} device"):
            make_accelerator(kind)


@pytest.mark.parametrize("precision", ["auto", "no", "bf16"])
def test_one_process_may_train_with_several_precisions(precision):
    accelerator = make_accelerator("cpu", precision)
    assert accelerator.device.type == "cpu" and accelerator.mixed_precision == ("bf16" if precision == "bf16" else "no")


# --- log ----------------------------------------------------------------------------------------


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_log_is_a_line_an_entry(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    with Log(path, "training", 10, show=False) as log:
        log.write(5, loss=0.5, rate=float("nan"))
        log.write(10, loss=float("inf"))
    made = [entry for entry in lines(path) if "loss" in entry]
    assert [(entry["step"], entry["loss"], entry["total"], entry["phase"]) for entry in made] == [(5, 0.5, 10, "training"), (10, None, 10, "training")]
    assert made[0]["rate"] is None and made[0]["seconds"] >= 0


def test_a_log_goes_on_where_the_run_does(tmp_path):
    path = tmp_path / "log.jsonl"
    for phase in ("first", "second"):
        with Log(path, phase, 30, show=False) as log:
            for step in (10, 20, 30):
                log.write(step, loss=1.0)
    with path.open("a") as file:
        file.write('{"phase": "second", "step": 4')  # cut off by a crash
    with Log(path, "second", 30, done=15, show=False) as log:
        log.write(20, loss=2.0)
    made = [(e["phase"], e["step"], e["loss"]) for e in lines(path) if "loss" in e]
    assert made == [("first", 10, 1.0), ("first", 20, 1.0), ("first", 30, 1.0), ("second", 10, 1.0), ("second", 20, 2.0)]
    with Log(path, "second", 30, show=False):
        pass
    assert {(e["phase"], e["step"]) for e in lines(path) if "loss" in e} == {("first", 10), ("first", 20), ("first", 30)}


def test_a_part_of_a_step_moves_the_bar(capsys):
    with Log(None, "comparing", 3) as log:
        log.bar.mininterval = 0
        for done in (0.123, 1.0, 1 + 1 / 3, 3):
            log.reach(done)
        states = capsys.readouterr().err.split("\r")
    assert [re.search(r" ([\d.]+)/3 \[", state)[1] for state in states if "/3" in state] == ["0", "0.12", "1", "1.33", "3"]


def test_only_the_main_process_writes(tmp_path):
    with Log(tmp_path / "log.jsonl", "training", 3, show=False, main=False) as log:
        log.write(1, loss=1.0)
    assert list(tmp_path.iterdir()) == []


# --- stopping and going on ----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends(number):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background starts with Ctrl-C ignored
    accelerator = make_accelerator("cpu")
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stopping(accelerator) as stop:
        assert not stop
        signal.raise_signal(number)
        assert stop
        assert signal.getsignal(number) == before[number == signal.SIGTERM]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    with pytest.raises(KeyboardInterrupt), stopping(accelerator):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before[0]


def trained(name: str, steps: int, weight=None, state=None, folder=None):
    weight = nn.Parameter(torch.tensor([0.5, -1.0]) if weight is None else weight)
    opt = optimizer(name, [weight], 0.1)
    if state is not None:
        tensors, about = load_state(state, opt, "digest")
        with torch.no_grad():
            weight.copy_(tensors["weight"])
        assert about["step"] == 3
    for _ in range(steps):
        opt.zero_grad()
        weight.pow(4).sum().backward()
        opt.step()
    if folder is not None:
        save_state(folder, {"weight": weight}, opt, digest="digest", step=3)
    return weight.detach()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_goes_on_exactly(name, tmp_path):
    trained(name, 3, folder=tmp_path / "state.safetensors")
    assert torch.equal(trained(name, 4, state=tmp_path / "state.safetensors"), trained(name, 7))


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda p: p.unlink(), "nothing to resume"), (lambda p: p.write_bytes(p.read_bytes()[:50]), "damaged"), (lambda p: p.write_bytes(b""), "damaged")],
)
def test_a_state_that_cannot_be_resumed_is_told(change, said, tmp_path):
    path = tmp_path / "state.safetensors"
    trained("adam", 3, folder=path)
    opt = optimizer("adam", [nn.Parameter(torch.zeros(2))], 0.1)
    with pytest.raises(WfvizError, match="other settings"):
        load_state(path, opt, "another digest")
    change(path)
    with pytest.raises(WfvizError) as caught:
        load_state(path, opt, "digest")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_state_of_something_else_is_told(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / "state.safetensors")
    with pytest.raises(WfvizError, match="damaged"):
        load_state(tmp_path / "state.safetensors", optimizer("adam", [nn.Parameter(torch.zeros(2))], 0.1), "digest")

"""Which row serves which sample: what callers may write, and what the chosen gates are."""

import threading

import numpy as np
import pytest
import torch

from wfviz.errors import WfvizError
from wfviz.filtering import gates
from wfviz.filtering.gates import Selection

CPU = torch.device("cpu")


@pytest.mark.parametrize("forget", [None, (), [], set()])
def test_nothing_is_no_selection(forget):
    assert gates.parse(forget, 10, 4, CPU) is None


@pytest.mark.parametrize(
    ("forget", "classes"),
    [(3, (3,)), (np.int64(3), (3,)), (torch.tensor(3), (3,)), ((3, 5), (3, 5)), ([0, np.int8(9)], (0, 9)), ({7}, (7,)), ((3, 5, 3), (3, 5))],
    ids=str,
)
def test_classes_for_the_whole_batch(forget, classes):
    assert gates.parse(forget, 10, 4, CPU) == Selection(classes)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int8])
def test_a_row_for_every_sample(dtype):
    selection = gates.parse(torch.tensor([0, -1, 9], dtype=dtype), 10, 3, CPU)
    assert selection.rows.tolist() == [0, -1, 9] and selection.rows.dtype == torch.long and selection.classes is None


@pytest.mark.parametrize(
    ("forget", "said"),
    [
        (10, "out of range"), (-1, "out of range"), ((3, 10), "out of range"), (torch.tensor(10), "out of range"),
        (True, "no class"), (2.0, "no class"), ("cat", "no class"), ([1, "cat"], "no class"), (torch.tensor(1.5), "no class"),
        (..., "no class"), (b"1", "no class"), (np.arange(3), "no class"),
        (torch.tensor([0, 1, 10]), "out of range"), (torch.tensor([0, 1, -2]), "out of range"),
        (torch.tensor([0, 1]), "[3]"), (torch.zeros(3, 1, dtype=torch.long), "[3]"), (torch.zeros(0, dtype=torch.long), "[3]"),
        (torch.zeros(3), "integers"), (torch.zeros(3, dtype=torch.bool), "integers"), (torch.zeros(3, dtype=torch.complex64), "integers"),
    ],
    ids=str,
)
def test_what_is_no_class_is_told_in_a_sentence(forget, said):
    with pytest.raises(WfvizError) as caught:
        gates.parse(forget, 10, 3, CPU)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_chosen_gates_one_by_one():
    alpha = torch.randn(4, 3, dtype=torch.float64)
    rows = torch.tensor([2, -1, 0, 2])
    got = gates.chosen(alpha, Selection(rows=rows))
    for b, row in enumerate(rows.tolist()):
        for f in range(3):
            wanted = 1.0 if row < 0 else 1 / (1 + np.exp(-alpha[row, f].item()))
            assert got[b, f].item() == pytest.approx(wanted, rel=1e-12)
    assert (got[1] == 1).all()
    several = gates.chosen(alpha, Selection((0, 3)))
    torch.testing.assert_close(several, (torch.sigmoid(alpha[0]) * torch.sigmoid(alpha[3]))[None])


def test_a_row_of_none_has_no_gradient_even_where_the_gates_are_not_finite():
    alpha = torch.full((2, 3), float("inf"), requires_grad=True)
    gates.chosen(alpha, Selection(rows=torch.tensor([-1, -1]))).sum().backward()
    assert (alpha.grad == 0).all()


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_channel_affine_is_the_formula(batch, layout):
    y = torch.randn(5, 3, 4, 2, dtype=torch.float64).to(memory_format=layout)
    mean, var, eps = torch.randn(3).double(), torch.rand(3).double() + 0.1, 1e-2
    weight, bias = torch.randn(2, batch, 3, dtype=torch.float64)
    wanted = torch.empty_like(y)
    for b in range(5):
        for f in range(3):
            g = b if batch == 5 else 0
            wanted[b, f] = (y[b, f] - mean[f]) / (var[f] + eps) ** 0.5 * weight[g, f] + bias[g, f]
    torch.testing.assert_close(gates.channel_affine(y, mean, var, eps, weight, bias), wanted)
    torch.testing.assert_close(gates.scale_channels(y, weight, bias), y * weight[..., None, None] + bias[..., None, None])
    torch.testing.assert_close(gates.scale_channels(y, weight, None), y * weight[..., None, None])


def test_a_selection_is_seen_inside_only_and_survives_errors():
    outer, inner = Selection((1,)), Selection((2,))
    with gates.selecting(outer):
        with pytest.raises(RuntimeError), gates.selecting(inner):
            assert gates.current() is inner
            raise RuntimeError
        assert gates.current() is outer
        seen = []
        thread = threading.Thread(target=lambda: seen.append(gates.current()))
        thread.start()
        thread.join()
        assert seen == [None]
    assert gates.current() is None


def test_a_class_is_found_however_its_accents_are_stored():
    """Some systems store ü as one sign, some as two."""
    assert gates.class_index("B\u00e4r", ["Hund", "Ba\u0308r"]) == gates.class_index("Ba\u0308r", ["Hund", "B\u00e4r"]) == 1

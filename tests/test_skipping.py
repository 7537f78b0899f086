"""Leaving out easy pictures: who stays, and what it counts."""

import pytest
import torch

from wfviz.skipping import WHOLE_FROM, Skipping


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def skipping() -> Skipping:
    """Loss 0.1 for the even ones of 1,000 pictures, 2 for the odd; the last hundred were not seen yet."""
    made = Skipping(1000, 0.5)
    indices = torch.arange(900)
    made.remember(indices, torch.where(indices % 2 == 0, 0.1, 2.0))
    return made


def test_nothing_is_left_out_before_it_was_seen():
    stays, weights = Skipping(10, 0.9).choose(torch.arange(10), 0.0, draw())
    assert stays.tolist() == list(range(10)) and weights.tolist() == [1.0] * 10


def test_hard_and_unseen_ones_stay(skipping):
    stays, weights = skipping.choose(torch.arange(1000), 0.3, draw())
    kept = dict(zip(stays.tolist(), weights.tolist(), strict=True))
    assert all(kept[i] == 1.0 for i in range(1000) if i % 2 or i >= 900)
    easy = [i for i in kept if i % 2 == 0 and i < 900]
    assert all(kept[i] == 2.0 for i in easy) and 180 < len(easy) < 270


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8])
def test_the_sum_is_the_same_on_average(skipping, part):
    skipping.part = part
    losses = torch.nan_to_num(skipping.losses, nan=1.0)
    indices, sums = torch.arange(1000), []
    for seed in range(200):
        stays, weights = skipping.choose(indices, 0.3, draw(seed))
        sums.append((losses[stays] * weights).sum())
    assert torch.stack(sums).mean().item() == pytest.approx(losses.sum().item(), rel=0.005)


def test_the_last_epochs_take_all(skipping):
    assert len(skipping.choose(torch.arange(1000), WHOLE_FROM, draw())[0]) == 1000
    assert len(skipping.choose(torch.arange(1000), WHOLE_FROM - 0.01, draw())[0]) < 1000


def test_a_batch_never_vanishes():
    skipping = Skipping(20, 0.999)
    skipping.remember(torch.arange(20), torch.tensor([0.0] * 19 + [5.0]))
    for seed in range(20):
        stays, weights = skipping.choose(torch.arange(8), 0.0, draw(seed))
        assert len(stays) >= 2 and len(stays) == len(weights)


def test_the_latest_loss_counts(skipping):
    skipping.remember(torch.tensor([1]), torch.tensor([0.0], requires_grad=True))
    stays = [1 in skipping.choose(torch.arange(10), 0.0, draw(seed))[0].tolist() for seed in range(50)]
    assert not all(stays) and any(stays)

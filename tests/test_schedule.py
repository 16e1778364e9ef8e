"""The learning rate, and the average of weights, step by step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gdpw.moving_average import MovingAverage
from gdpw.schedule import LearningRate


def test_the_published_rate_is_constant() -> None:
    assert {LearningRate().at(step) for step in (0, 10, 10**6)} == {2e-4}


def test_the_warm_up_is_a_straight_line_and_the_cosine_ends_at_zero() -> None:
    rate = LearningRate(base=1, course="cosine", warmup=4, steps=12)
    assert [rate.at(step) for step in (0, 1, 3, 4)] == [0.25, 0.5, 1, 1]
    assert rate.at(8) == pytest.approx(0.5)
    assert rate.at(12) == pytest.approx(0)
    assert rate.at(50) == pytest.approx(0)


@pytest.mark.parametrize(
    "change",
    [
        {"base": 0},
        {"warmup": -1},
        {"course": "linear"},
        {"course": "cosine"},
        {"course": "cosine", "warmup": 5, "steps": 5},
    ],
)
def test_impossible_rates_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=r"must be|needs more steps"):
        LearningRate(**change)


def test_weights_and_running_statistics_are_averaged_and_the_rest_is_taken() -> None:
    norm = nn.BatchNorm2d(1)
    moving = MovingAverage(norm, decay=0.5)
    with torch.no_grad():
        norm.weight.fill_(3)
        norm.running_mean.fill_(8)
        norm.num_batches_tracked.fill_(7)
    moving.update(norm)  # the first step keeps a tenth of the old
    assert moving.state["weight"].item() == pytest.approx(0.1 * 1 + 0.9 * 3)
    assert moving.state["running_mean"].item() == pytest.approx(0.9 * 8)
    assert moving.state["num_batches_tracked"].item() == 7
    for _ in range(20):
        moving.update(norm)
    before = moving.state["weight"].item()
    with torch.no_grad():
        norm.weight.fill_(5)
    moving.update(norm)
    assert moving.state["weight"].item() == pytest.approx((before + 5) / 2)


def test_the_average_is_not_the_network() -> None:
    norm = nn.BatchNorm2d(1)
    moving = MovingAverage(norm, decay=0.9)
    with torch.no_grad():
        norm.weight.fill_(9)
    assert moving.state["weight"].item() == 1

"""The One-Euro filter on sequences short enough to work out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fit_deca.smoothing import OneEuroConfig, OneEuroFilter, smooth_track


def seconds(*times: float) -> Tensor:
    return torch.tensor(times, dtype=torch.float64)


def cutoff_of_weight(weight: float) -> float:
    """The cutoff with which a new value one step later gets that weight."""
    return weight / (1 - weight) / (2 * math.pi)


HALF = OneEuroConfig(min_cutoff=cutoff_of_weight(0.5), derivative_cutoff=cutoff_of_weight(0.5))


def test_half_the_weight_goes_half_the_way_each_frame() -> None:
    smoothed = OneEuroFilter(HALF)(torch.tensor([[8.0], [0.0], [0.0], [16.0]]))
    torch.testing.assert_close(smoothed, torch.tensor([[8.0], [4.0], [2.0], [9.0]]))


def test_speed_raises_the_cutoff_by_beta() -> None:
    """Speed 4, half of it believed: cutoff c + 2 beta = 3c, so a weight of 3/4."""
    rest = cutoff_of_weight(0.5)
    config = OneEuroConfig(min_cutoff=rest, beta=rest, derivative_cutoff=rest)
    smoothed = OneEuroFilter(config)(torch.tensor([[0.0], [-4.0]]))
    torch.testing.assert_close(smoothed, torch.tensor([[0.0], [-3.0]]))


def test_after_a_gap_the_new_value_counts_more() -> None:
    """Three steps later the weight is 3/(3 + 1)."""
    config = OneEuroConfig(min_cutoff=HALF.min_cutoff, steps_per_second=10)
    smoothed = OneEuroFilter(config)(torch.tensor([[0.0], [8.0], [8.0]]), seconds(2.0, 2.1, 2.4))
    torch.testing.assert_close(smoothed, torch.tensor([[0.0], [4.0], [7.0]]))


def test_speed_is_units_a_step_not_a_frame() -> None:
    """8 over 2 steps is a speed of 4; 2/3 of it is believed, so the cutoff is 11/3 c and the weight 22/25."""
    rest = cutoff_of_weight(0.5)
    config = OneEuroConfig(min_cutoff=rest, beta=rest, derivative_cutoff=rest, steps_per_second=1)
    smoothed = OneEuroFilter(config)(torch.tensor([[0.0], [8.0]]), seconds(0.0, 2.0))
    torch.testing.assert_close(smoothed, torch.tensor([[0.0], [8 * 22 / 25]]))


def test_without_a_rate_times_do_not_matter() -> None:
    values = torch.tensor([[8.0], [0.0], [0.0]])
    torch.testing.assert_close(OneEuroFilter(HALF)(values, seconds(0.0, 5.0, 9.0)), OneEuroFilter(HALF)(values))


@pytest.mark.parametrize("rate", [None, 25.0])
def test_chunks_give_what_the_whole_gives(rate: float | None) -> None:
    config = OneEuroConfig(beta=0.3, steps_per_second=rate)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(9, 2, 3, generator=generator)
    times = torch.rand(9, generator=generator, dtype=torch.float64).add(0.1).cumsum(0)
    in_chunks = OneEuroFilter(config)
    parts = [in_chunks(values[a:b], times[a:b]) for a, b in ((0, 1), (1, 1), (1, 6), (6, 9))]
    torch.testing.assert_close(torch.cat(parts), OneEuroFilter(config)(values, times), rtol=0, atol=0)


def test_each_channel_is_smoothed_by_itself() -> None:
    config = OneEuroConfig(beta=0.3)
    values = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([OneEuroFilter(config)(channel) for channel in values.split(1, dim=1)], dim=1)
    torch.testing.assert_close(OneEuroFilter(config)(values), alone)


def test_input_stays_as_it_was_and_may_change_afterwards() -> None:
    values = torch.tensor([[8.0], [0.0]])
    first, second = values[:1].clone(), values[1:].clone()
    running = OneEuroFilter(HALF)
    running(first)
    assert first.item() == 8
    first.zero_()
    assert running(second).item() == pytest.approx(4)


@pytest.mark.parametrize("times", [(0.0, 0.0), (1.0, 0.5), (0.0, math.nan), (0.0, math.inf)])
def test_times_that_do_not_rise_are_refused(times: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="times must rise"):
        OneEuroFilter(OneEuroConfig(steps_per_second=25))(torch.zeros(2, 1), seconds(*times))


def test_a_chunk_must_begin_after_the_last_one() -> None:
    running = OneEuroFilter(OneEuroConfig(steps_per_second=25))
    running(torch.zeros(2, 1), seconds(0.0, 0.04))
    with pytest.raises(ValueError, match="times must rise"):
        running(torch.zeros(1, 1), seconds(0.04))


@pytest.mark.parametrize("times", [None, seconds(0.0)])
def test_real_time_needs_a_time_a_frame(times: Tensor | None) -> None:
    with pytest.raises(ValueError, match="a time for each of the 2 frames"):
        OneEuroFilter(OneEuroConfig(steps_per_second=25))(torch.zeros(2, 1), times)


@pytest.mark.parametrize(
    "settings",
    [{"min_cutoff": 0}, {"derivative_cutoff": -1}, {"beta": -0.1}, {"steps_per_second": 0}, {"min_cutoff": math.nan}],
)
def test_settings_without_meaning_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        OneEuroConfig(**settings)


def test_a_smoothed_track_is_the_minimum_of_its_sum() -> None:
    times = torch.tensor([0.0, 0.04, 0.08, 0.2, 0.24], dtype=torch.float64)
    values = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = smooth_track(values, times, 0.1).requires_grad_()
    speed = found.diff(dim=0) / times.diff()[:, None]
    cost = (found - values).square().sum() + (0.1 * speed).square().sum()
    (slope,) = torch.autograd.grad(cost, found)
    assert slope.abs().max() < 1e-9


def test_smoothing_a_track_over_no_time_changes_nothing() -> None:
    values = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(smooth_track(values, torch.arange(4) / 25, 0.0), values)


def test_a_single_frame_stays_as_it_is() -> None:
    assert torch.equal(smooth_track(torch.ones(1, 2), torch.zeros(1), 0.1), torch.ones(1, 2))

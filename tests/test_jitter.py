"""Jitter: values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.jitter import jitter_px


def track(x: list[float]) -> np.ndarray:
    """One vertex that moves along x; its depth, which does not count, leaps."""
    leaps = [100.0 * (number % 2) for number in range(len(x))]
    return np.stack([x, np.zeros(len(x)), leaps], axis=1).astype(np.float32)[:, None]


def test_steady_motion_has_none() -> None:
    assert jitter_px(track([0, 2, 4, 6]), np.arange(4)) == 0


def test_it_is_the_mean_length_of_the_second_difference() -> None:
    assert jitter_px(track([0, 3, 0, 3]), np.arange(4)) == pytest.approx(6)
    both = np.concatenate([track([0, 3, 0, 3]), track([0, 0, 0, 0])], axis=1)
    assert jitter_px(both, np.arange(4)) == pytest.approx(3)


def test_motion_across_a_gap_is_no_jitter() -> None:
    assert jitter_px(track([0, 1, 2, 50, 51, 52]), np.array([0, 1, 2, 20, 21, 22])) == 0


@pytest.mark.parametrize("frames", [1, 2])
def test_fewer_than_three_frames_have_none(frames: int) -> None:
    assert jitter_px(track([5.0] * frames), np.arange(frames)) == 0

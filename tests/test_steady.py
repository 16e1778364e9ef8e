"""Smoothing of landmarks takes their trembling and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.steady import steady

FACE = np.random.default_rng(1).uniform(0, 200, (60, 3)).astype(np.float32)
SIZE = float(np.ptp(FACE[:, :2], axis=0).max())


def still(frames: int) -> np.ndarray:
    return np.repeat(FACE[None], frames, 0)


def trembling(points: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(points[..., :2], 2, axis=0), axis=-1).mean())


@pytest.mark.parametrize("step", [1 / 25, 1 / 30, 1 / 60])
def test_trembling_at_rest_is_less_than_half(step: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.001 * SIZE, (100, 60, 3)).astype(np.float32)
    assert trembling(steady(np.arange(100) * step, still(100) + noise)) < 0.5 * trembling(noise)


@pytest.mark.parametrize("times", [np.arange(40) / 25, np.cumsum([0.04, 0.08, 0.04, 0.02] * 10)])
def test_motion_along_a_parabola_is_neither_delayed_nor_flattened(times: np.ndarray) -> None:
    moving = still(40) + (60 * times + 200 * times**2)[:, None, None].astype(np.float32)
    np.testing.assert_allclose(steady(times, moving), moving, atol=2e-3)


def test_a_blink_stays_as_deep_and_in_its_frame() -> None:
    lid = still(21)
    blink = np.array([0.5, 1, 0.5], np.float32) * 0.03 * SIZE  # of a face 200 mm high, 6 mm
    lid[9:12, 0, 1] += blink
    found = steady(np.arange(21) / 25, lid)[:, 0, 1] - FACE[0, 1]
    assert found.argmax() == 10
    assert found.max() > 0.97 * blink.max()


def test_no_point_moves_by_more_than_a_tenth_of_a_hundredth_of_the_face() -> None:
    wild = still(50) + np.random.default_rng(2).normal(0, 20, (50, 60, 3)).astype(np.float32)
    moved = np.linalg.norm((steady(np.arange(50) / 25, wild) - wild)[..., :2], axis=-1)
    size = np.ptp(wild[..., :2], axis=1).max(1)
    assert (moved.max(1) / size).max() <= 0.00101


@pytest.mark.parametrize("times", [np.zeros(1), np.arange(8) / 10, np.array([0, 0.04, 0.08])])
def test_frames_far_apart_or_few_stay_as_they_are(times: np.ndarray) -> None:
    points = still(len(times)) + np.random.default_rng(3).normal(0, 1, (len(times), 60, 3)).astype(np.float32)
    assert np.array_equal(steady(times, points), points)

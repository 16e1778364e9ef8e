"""A cut stands out of the motion around it."""

from __future__ import annotations

import numpy as np

from pipeline.scenes import SceneCuts

RNG = np.random.default_rng(0)
BEACH, FOREST = (np.kron(RNG.integers(0, 255, (8, 8, 3)), np.ones((30, 40, 1))).astype(np.uint8) for _ in range(2))


def cuts(pictures: list[np.ndarray]) -> list[int]:
    scene = SceneCuts()
    return [number for number, picture in enumerate(pictures) if scene(picture)]


def test_a_cut_is_seen_in_its_first_picture() -> None:
    assert cuts([BEACH] * 5 + [FOREST] * 5 + [BEACH] * 2) == [5, 10]


def test_noise_is_no_cut() -> None:
    noisy = [(BEACH * 0.8 + RNG.normal(0, 12, BEACH.shape)).clip(0, 255).astype(np.uint8) for _ in range(6)]
    assert cuts(noisy) == []


def test_a_camera_that_keeps_moving_makes_no_cut_once_it_moves() -> None:
    moving = [np.roll(BEACH, 6 * number, axis=1) for number in range(12)]
    assert cuts(moving)[1:] == []
    assert cuts([*moving, FOREST])[-1] == 12

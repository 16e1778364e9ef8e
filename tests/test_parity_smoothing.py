"""Golden numbers of section 14: the One-Euro filter on random walks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from golden_set import read_json, unit

from fit_deca.smoothing import OneEuroConfig, OneEuroFilter

CASES: dict[str, Any] = read_json("one_euro")


def config_of(case: str) -> OneEuroConfig:
    ours = {"d_cutoff": "derivative_cutoff"}
    return OneEuroConfig(**{ours.get(name, name): value for name, value in CASES[case]["settings"].items()})


def walk(case: str) -> torch.Tensor:
    """The random walk of the recipe; its the printed form must agree with it."""
    printed = CASES[case]["input"]
    steps = 0.2 * unit(CASES[case]["input_name"], np.shape(printed))
    values = steps.cumsum(axis=0).astype(np.float32)
    np.testing.assert_allclose(values, printed, rtol=0, atol=1e-6)
    return torch.from_numpy(values)


@pytest.mark.parametrize("case", CASES)
def test_smoothed_walks_are_the_published_ones(case: str) -> None:
    expected = np.array(CASES[case]["output"])
    actual = OneEuroFilter(config_of(case))(walk(case))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("case", CASES)
def test_frames_one_step_apart_in_real_time_are_the_published_ones(case: str) -> None:
    expected = np.array(CASES[case]["output"])
    timed = replace(config_of(case), steps_per_second=25)
    times = 7 + torch.arange(len(expected), dtype=torch.float64) / 25
    actual = OneEuroFilter(timed)(walk(case), times)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_the_default_settings_are_the_demos() -> None:
    assert OneEuroConfig() == config_of("as_used")

"""Golden numbers of section 14: angles, setting one of them, the preset animation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from golden_set import read_json
from torch import Tensor

from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.editing import axis_angle_to_degrees, degrees_to_axis_angle, preset_animation, set_angle

GOLDEN: dict[str, Any] = read_json("editing")
VECTORS = torch.tensor(GOLDEN["axis_angle"])
SET = {"set_yaw_10": ("yaw", 10.0), "set_pitch_minus5": ("pitch", -5.0), "set_roll_7": ("roll", 7.0)}


@pytest.fixture(scope="module")
def start() -> Codes:
    names = {"expression": "exp", "eyes": "eye_pose", "camera": "cam"}
    return Codes(*(torch.tensor([GOLDEN["start"][names.get(field, field)]]) for field in CODE_SIZES))


@pytest.fixture(scope="module")
def animation(start: Codes) -> Codes:
    return preset_animation(start)


def assert_close(actual: Tensor, expected: Any) -> None:
    """Equal within float32's noise."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_angles_are_the_published_ones() -> None:
    assert_close(axis_angle_to_degrees(VECTORS), GOLDEN["yaw_pitch_roll_degrees"])
    assert_close(degrees_to_axis_angle(torch.tensor(GOLDEN["yaw_pitch_roll_degrees"])), GOLDEN["axis_angle"])


@pytest.mark.parametrize("case", SET)
def test_one_angle_is_set_as_published(case: str) -> None:
    assert_close(set_angle(VECTORS, *SET[case]), GOLDEN[case])


def test_the_animation_has_the_published_length(animation: Codes) -> None:
    assert {len(code) for code in animation} == {GOLDEN["frames_total"]}


@pytest.mark.parametrize("frame", GOLDEN["frames"])
def test_frames_of_the_animation_are_the_published_ones(animation: Codes, frame: str) -> None:
    golden = GOLDEN["frames"][frame]
    assert_close(animation.shape[int(frame), : len(golden["shape_first8"])], golden["shape_first8"])
    assert_close(animation.expression[int(frame), : len(golden["exp_first8"])], golden["exp_first8"])
    assert_close(animation.pose[int(frame)], golden["pose"])

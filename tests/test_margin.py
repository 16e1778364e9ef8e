"""A margin around a portrait: the picture goes on, the mesh stays on its face, the square in the middle is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_session import toy_source

from pipeline.crop import Window, cut_window
from pipeline.margin import staged, with_margin
from pipeline.models import ModelConfig
from pipeline.portrait import Portrait

SIZE = 16


def portrait(window: Window) -> Portrait:
    """A picture of smooth ramps, 60 high and 80 wide; the window stands for the toy's square."""
    y, x = np.mgrid[:60, :80]
    picture = np.stack([2 * x, 3 * y, x + y], axis=2).astype(np.uint8)
    take = toy_source()
    take.images[0] = cut_window(picture, window, SIZE)
    return Portrait(name="ramps", picture=picture, window=window, take=take)


def test_the_square_in_the_middle_is_the_portraits() -> None:
    made = portrait(Window(20, 15, 32))
    stage = with_margin(made, 1 / 4)
    wide = stage.take
    assert wide.size == 24
    assert stage.inside == slice(4, 20)
    np.testing.assert_allclose(wide.images[0, 4:20, 4:20].astype(int), made.take.images[0], atol=1)
    np.testing.assert_array_equal(wide.images[0], cut_window(made.picture, Window(12, 7, 48), 24))


def test_mesh_and_camera_move_with_the_picture() -> None:
    made = portrait(Window(20, 15, 32))
    stage = with_margin(made, 1 / 4)
    wide = stage.take
    np.testing.assert_allclose(stage.change, [[1, 0, 4], [0, 1, 4], [0, 0, 1]], atol=1e-9)
    np.testing.assert_allclose(wide.vertices, made.take.vertices + np.array([4, 4, 0]), atol=1e-5)
    np.testing.assert_allclose(wide.recover[0] - made.take.recover[0], [[0, 0, 4], [0, 0, 4], [0, 0, 0]], atol=1e-9)


@pytest.mark.parametrize("corner", [(0, 0), (48, 28)])
def test_beyond_the_picture_is_its_mirror_image(corner: tuple[int, int]) -> None:
    made = portrait(Window(*corner, 32))
    wide = with_margin(made, 1 / 4).take.images[0]
    wide = wide if corner == (0, 0) else wide[::-1, ::-1]
    np.testing.assert_allclose(wide[3, 4:20].astype(int), wide[4, 4:20], atol=1)
    np.testing.assert_allclose(wide[0, 4:20].astype(int), wide[7, 4:20], atol=1)
    np.testing.assert_allclose(wide[4:20, 0].astype(int), wide[4:20, 7], atol=1)


def test_a_portrait_that_is_pasted_back_has_no_margin_and_no_black_from_outside_its_picture() -> None:
    made = portrait(Window(-8, 0, 32))
    stage = staged(made, ModelConfig(), pasted=True)
    assert stage.take.size == stage.shown == SIZE
    np.testing.assert_allclose(stage.take.vertices, made.take.vertices, atol=1e-4)
    assert made.take.images[0, 8:, :4].max() == 0
    assert stage.take.images[0, 8:, :4].max(-1).min() > 0


def test_a_network_trained_on_the_square_sees_the_square(tmp_path: Path) -> None:
    made = portrait(Window(20, 15, 32))
    stage = staged(made, ModelConfig(checkpoint=tmp_path / "any.pth"), pasted=False)
    assert stage.take is made.take

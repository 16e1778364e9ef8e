"""An animated crop in the source's whole picture."""

from __future__ import annotations

import numpy as np
import pytest
from test_transfer import codes, source

from pipeline.crop import Window, cut_window
from pipeline.paste import paste_back, soft_mask
from pipeline.portrait import Portrait


def portrait(window: Window) -> Portrait:
    picture = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    return Portrait(name="made", picture=picture, window=window, take=source(codes(1)))


@pytest.mark.parametrize(
    "window", [Window(40, 10, 100), Window(-30, -20, 100), Window(90, 60, 100), Window(30, 20, 60)]
)
def test_outside_the_mask_the_picture_is_the_source_bit_by_bit(window: Window) -> None:
    given = portrait(window)
    (pasted,) = paste_back(given, [np.full((64, 64, 3), 255, np.uint8)])
    mask = np.zeros((400, 400), np.float32)
    mask[100 + window.top :, 100 + window.left :][: window.side, : window.side] = soft_mask(window.side)
    mask = mask[100:220, 100:260]
    np.testing.assert_array_equal(pasted[mask == 0], given.picture[mask == 0])
    assert (pasted[mask == 1] == 255).all()
    assert (mask == 1).sum() > 100
    assert pasted.shape == given.picture.shape


def test_the_sources_own_crop_changes_nothing_inside_either() -> None:
    given = portrait(Window(30, 10, 64))
    (pasted,) = paste_back(given, [cut_window(given.picture, given.window, 64)])
    np.testing.assert_array_equal(pasted, given.picture)


def test_the_mask_rises_smoothly_from_nothing() -> None:
    mask = soft_mask(200)
    assert max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) == 0
    assert (mask[24:-24, 24:-24] == 1).all()
    assert np.abs(np.diff(mask, axis=1)).max() < 0.07

"""Golden numbers of section 12: crop matrices, crops, and the way of points into the output picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden_set import read_json, read_npz, smooth
from numpy.typing import NDArray

from fit_deca.encoder import INPUT_SIZE
from pipeline.crop import (
    FaceBox,
    encoder_crop,
    final_crop,
    plane_to_pixels,
    recover_transform,
    transform_points,
    warp_picture,
)

CASES: dict[str, Any] = read_json("crop")["cases"]
ITEMS = [(name, i) for name, case in CASES.items() for i in range(len(case["items"]))]
CROPPED = [(name, i) for name, i in ITEMS if f"{name}/final_every_8" in read_npz("crop")]


def transforms(name: str, i: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Our encoder and final transform of a golden case; without a target size the picture stays as it is."""
    size, box = CASES[name]["target_size_wh"], FaceBox(*CASES[name]["items"][i]["box_left_right_top_bottom"])
    return encoder_crop(box), np.eye(3) if size is None else final_crop(box, *size)


def picture(i: int) -> NDArray[np.uint8]:
    name = read_json("crop")["images"][i]
    height, width = read_json("crop")["image_hw"]
    return np.ascontiguousarray((smooth(name, 3, height, width) * 255).astype(np.uint8).transpose(1, 2, 0))


def assert_matrix(actual: NDArray[np.float64], expected: Any) -> None:
    """Equal within the twelve digits that the golden file keeps."""
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize(("name", "i"), ITEMS)
def test_crop_transforms_are_the_published_ones(name: str, i: int) -> None:
    golden = CASES[name]["items"][i]
    encoder, final = transforms(name, i)
    assert_matrix(encoder, golden["to_224"])
    assert_matrix(final, golden["to_final"])
    assert_matrix(recover_transform(encoder, final), golden["recover"])


@pytest.mark.parametrize(("name", "i"), ITEMS)
def test_face_box_lands_where_the_published_one_does_in_the_final_crop(name: str, i: int) -> None:
    golden = CASES[name]["items"][i]
    left, right, top, bottom = golden["box_left_right_top_bottom"]
    corners = transform_points(np.array([(left, top), (right, bottom)]), transforms(name, i)[1])
    np.testing.assert_allclose(corners.ravel(), golden["face_box_in_final"], rtol=1e-10)


@pytest.mark.parametrize(("name", "i"), ITEMS)
def test_points_of_the_camera_plane_recover_to_the_published_pixels(name: str, i: int) -> None:
    golden = CASES[name]["items"][i]
    recover = recover_transform(*transforms(name, i)) @ plane_to_pixels(INPUT_SIZE)
    points, expected = np.array(golden["points_in"]), np.array(golden["points_out"])
    float32_noise = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(transform_points(points, recover)[:, :2], expected[:, :2], rtol=0, atol=float32_noise)


@pytest.mark.parametrize(("name", "i"), CROPPED)
def test_crops_are_the_published_ones_within_two_grey_levels(name: str, i: int) -> None:
    (encoder, final), size = transforms(name, i), CASES[name]["target_size_wh"]
    to_encoder = warp_picture(picture(i), encoder, INPUT_SIZE, INPUT_SIZE).transpose(2, 0, 1)
    to_final = warp_picture(picture(i), final, *size)
    for crop, golden in (
        (to_encoder[:, 3::7, 3::7], read_npz("crop")[f"{name}/crop224_every_7"][i]),
        (to_final[4::8, 4::8], read_npz("crop")[f"{name}/final_every_8"][i]),
    ):
        assert np.abs(crop.astype(int) - golden.astype(int)).max() <= 2

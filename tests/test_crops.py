"""Crops cut on the device, against the published crops and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from golden_set import read_json, read_npz, smooth
from torch import Tensor

from fit_deca.crops import warp_affine

CASES = [name for name in read_json("crop")["cases"] if f"{name}/crop224_every_7" in read_npz("crop")]


def noise(height: int, width: int, items: int = 1) -> Tensor:
    return torch.randint(
        0, 256, (items, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


@pytest.mark.parametrize("case", CASES)
def test_a_batch_of_crops_is_the_published_one_within_two_grey_levels(case: str) -> None:
    golden = read_json("crop")
    items, (height, width) = golden["cases"][case]["items"], golden["image_hw"]
    pictures = [(smooth(name, 3, height, width) * 255).astype(np.uint8) for name in golden["images"][: len(items)]]
    matrices = torch.tensor([item["to_224"] for item in items], dtype=torch.float64)
    crops = warp_affine(torch.from_numpy(np.stack(pictures)), matrices, 224)
    expected = read_npz("crop")[f"{case}/crop224_every_7"]
    assert np.abs(crops[:, :, 3::7, 3::7].numpy().astype(int) - expected.astype(int)).max() <= 2


def test_a_turned_and_shifted_crop_of_noise_agrees_with_opencv() -> None:
    matrix = np.array([[0.9, -0.4, 11.3], [0.4, 0.9, -17.6], [0, 0, 1]])
    frame = noise(60, 80)
    ours = warp_affine(frame.float(), torch.from_numpy(matrix)[None], 64)[0].permute(1, 2, 0).numpy()
    picture = frame[0].permute(1, 2, 0).numpy().astype(np.float32)
    theirs = cv2.warpAffine(picture, matrix[:2], (64, 64), flags=cv2.INTER_LINEAR)
    thirty_second_of_a_pixel = 255 / 32  # to which OpenCV before 5 rounds positions
    assert np.abs(ours - theirs).max() <= 2 * thirty_second_of_a_pixel
    assert np.abs(ours - theirs).mean() < 2


def test_identity_returns_the_picture_and_black_past_its_rim() -> None:
    frame = noise(5, 7)
    crop = warp_affine(frame, torch.eye(3)[None], 9)
    assert torch.equal(crop[:, :, :5, :7], frame)
    assert not crop[:, :, 5:].any()
    assert not crop[:, :, :, 7:].any()


def test_half_a_pixel_averages_neighbours_and_fades_into_black() -> None:
    frame = torch.tensor([100.0, 200.0]).expand(1, 3, 2, 2)
    shift = torch.tensor([[[1.0, 0, 0.5], [0, 1, 0], [0, 0, 1]]])
    crop = warp_affine(frame, shift, 3)
    torch.testing.assert_close(crop[0, 0, :2], torch.tensor([50.0, 150.0, 100.0]).expand(2, 3))


def test_frames_as_decoded_channels_last_give_the_same_crops() -> None:
    frames, matrices = noise(20, 30, items=2), torch.diag(torch.tensor([1.4, 1.4, 1.0])).expand(2, 3, 3)
    as_decoded = frames.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(warp_affine(as_decoded, matrices, 24), warp_affine(frames, matrices, 24))

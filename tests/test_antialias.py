"""The fast downsampling against the blur it stands for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gdpw.antialias import ReleasedKernel, blur_kernel, downsample, downsampling_matrix


def slow_downsample(picture: Tensor, stride: int) -> Tensor:
    """Reference: the full 2-d blur at every pixel, of which every s-th is kept."""
    kernel = blur_kernel(stride).to(picture.dtype)
    kernel_2d = torch.outer(kernel, kernel).expand(picture.shape[1], 1, -1, -1)
    blurred = F.conv2d(picture, kernel_2d, padding=len(kernel) // 2, groups=picture.shape[1])
    return blurred[:, :, ::stride, ::stride]


@pytest.mark.parametrize("stride", [2, 4, 8])
@pytest.mark.parametrize("size", [(32, 32), (48, 40), (33, 21)])
def test_two_small_matrices_equal_the_blur(stride: int, size: tuple[int, int]) -> None:
    picture = torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (fast,) = downsample(picture, [stride])
    torch.testing.assert_close(fast, slow_downsample(picture, stride), rtol=1e-6, atol=1e-7)


def test_stride_1_is_the_picture_itself() -> None:
    picture = torch.rand(1, 2, 8, 8)
    assert downsample(picture, [1])[0] is picture


def test_samples_sit_at_cell_corners_not_middles() -> None:
    """A ramp keeps the values of columns 0, s, 2s, ... instead of those of the cells' middles."""
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)
    (reduced,) = downsample(ramp, [4])
    torch.testing.assert_close(reduced[0, 0, 8, 4:12], torch.arange(16.0, 48.0, 4), rtol=1e-5, atol=1e-5)


def test_zero_padding_darkens_the_border() -> None:
    (reduced,) = downsample(torch.ones(1, 1, 64, 64), [8])
    assert reduced[0, 0, 4, 4] == pytest.approx(1, abs=1e-6)
    assert reduced[0, 0, 4, 0] == pytest.approx(0.5, abs=0.1)
    assert reduced[0, 0, 0, 0] == pytest.approx(0.25, abs=0.1)


def test_a_row_of_the_matrix_is_the_kernel_around_its_sample() -> None:
    row = downsampling_matrix(16, 2, torch.empty(0))[3]
    torch.testing.assert_close(row[4:9], blur_kernel(2))
    assert row[:4].abs().sum() + row[9:].abs().sum() == 0


def test_released_kernels_have_the_published_sizes_and_are_nan_at_stride_1() -> None:
    sizes = {stride: ReleasedKernel(3, stride).weight.shape[-1] for stride in (1, 2, 4, 8, 16, 32)}
    assert sizes == {1: 1, 2: 5, 4: 13, 8: 29, 16: 61, 32: 125}
    assert ReleasedKernel(3, 1).weight.isnan().all()
    assert ReleasedKernel(3, 8).weight.sum(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1, 1])

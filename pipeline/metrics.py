"""How near a result is to what it should be: plain functions on pictures, points and codes.

Pictures are (H, W, 3) uint8 RGB. A mask (H, W), bool, restricts a measure to a part of the picture.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.rotation import axis_angle_to_matrix
from pipeline.jitter import jitter_px

PSNR_CAP = 100.0
"""Decibels that equal pictures count for; one step in one value of a 256x256 picture gives 101."""
_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Array = NDArray[np.floating]


def l1(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Mean absolute difference, 0..1."""
    return float(_inside(np.abs(_difference(result, truth)), mask).mean()) / 255


def psnr(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in decibels, at most `PSNR_CAP`."""
    error = float(_inside(_difference(result, truth) ** 2, mask).mean()) / 255**2
    return min(-10 * np.log10(error), PSNR_CAP) if error else PSNR_CAP


def ssim(result: Picture, truth: Picture, mask: Mask | None = None) -> float:
    """Mean structural similarity, -1..1, over the pixels whose whole window lies in the picture.

    Raises ValueError where there is none.
    Source: Wang et al., Image quality assessment (2004): Gaussian windows of 11 pixels, sigma 1.5, a channel each.
    """
    inner = (slice(_RADIUS, -_RADIUS),) * 2
    similarity = ssim_map(result, truth)[inner]
    chosen = similarity if mask is None else similarity[mask[inner]]
    if not chosen.size:
        raise ValueError(f"no window of {2 * _RADIUS + 1} pixels in the mask, or in {result.shape[:2]}")
    return float(chosen.mean())


def ssim_map(result: Picture, truth: Picture) -> NDArray[np.float64]:
    """The structural similarity around each pixel, (H, W), mean of the channels."""
    a, b = result.astype(np.float64), truth.astype(np.float64)
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a, variance_b = _blur(a * a) - mean_a**2, _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    return (light * structure).mean(2)


def keypoint_distance(
    points: Array,  # (T, N, 2) of the result, pixels
    truth: Array,  # (T, N, 2)
    size: int,  # side of the pictures in pixels
) -> float:
    """AKD: mean distance of landmarks, in pixels of pictures 256 wide, so that sizes can be compared."""
    return float(np.linalg.norm(points - truth, axis=-1).mean()) * 256 / size


def expression_distance(expression: Array, truth: Array) -> float:
    """Mean absolute difference of expression coefficients, (T, 50) each; a coefficient has unit variance."""
    return float(np.abs(expression - truth).mean())


def rotation_distance(rotation: Array, truth: Array) -> float:
    """Mean angle in degrees between rotations, (T, 3) axis-angle each: of the one turn from one to the other."""
    first, second = (axis_angle_to_matrix(torch.from_numpy(np.asarray(r, np.float64))) for r in (rotation, truth))
    between = first.mT @ second
    sine = torch.stack([between[:, 2, 1] - between[:, 1, 2], between[:, 0, 2] - between[:, 2, 0]], dim=1)
    sine = torch.cat([sine, (between[:, 1, 0] - between[:, 0, 1])[:, None]], dim=1).norm(dim=1)
    cosine = between.diagonal(dim1=1, dim2=2).sum(1) - 1
    return float(torch.atan2(sine, cosine).rad2deg().mean())


def jitter_ratio(points: Array, driving: Array, numbers: NDArray[np.int64]) -> float | None:
    """How much the result's points (T, N, 2) tremble, the driver's being 1. None where the driver's do not.

    numbers: (T,) of the frames; see `jitter_px`.
    """
    of_driver = jitter_px(driving.astype(np.float32), numbers)
    return jitter_px(points.astype(np.float32), numbers) / of_driver if of_driver else None


def hull(points: Array, size: int) -> Mask:
    """The face as a mask (size, size): the convex hull of its points (N, 2) in pixels."""
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(points.astype(np.float32)).round().astype(np.int32), 1)
    return mask.astype(bool)


def _difference(result: Picture, truth: Picture) -> NDArray[np.float64]:
    return result.astype(np.float64) - truth


def _inside(values: NDArray[np.float64], mask: Mask | None) -> NDArray[np.float64]:
    return values if mask is None else values[mask]


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    window = (2 * _RADIUS + 1,) * 2
    return cv2.GaussianBlur(image, window, _SIGMA, borderType=cv2.BORDER_REFLECT).astype(np.float64, copy=False)

"""Crops cut out of many pictures at once, on whichever device these lie."""

from __future__ import annotations

import torch
from torch import Tensor


def warp_affine(
    frames: Tensor,  # (B, 3, H, W) uint8 or floating
    matrices: Tensor,  # (B, 3, 3) frame pixels -> crop pixels
    size: int,
) -> Tensor:  # (B, 3, size, size), the frames' type
    """Square crops of whole pictures, bilinear, black outside.

    Where a picture shrinks it is sampled, not averaged. uint8 is rounded to the nearest level; OpenCV's `warpAffine`
    agrees within 2 levels. The crops lie channels-last in memory.
    Convention: a matrix acts on pixel numbers, so that pixel centres are whole.
    """
    height, width = frames.shape[2:]
    inverse = torch.linalg.inv(matrices.double()).to(frames.device, torch.float32)
    (xx, xy, x0), (yx, yy, y0) = inverse[:, :2, :, None, None].permute(1, 2, 0, 3, 4)
    column = torch.arange(size, device=frames.device)
    row, item = column[:, None], torch.arange(len(frames), device=frames.device)[:, None, None]
    x, y = xx * column + xy * row + x0, yx * column + yy * row + y0

    left, top = x.floor(), y.floor()
    crops = frames.new_zeros((len(frames), size, size, 3), dtype=torch.float32)
    for tap_x, weight_x in ((left, left + 1 - x), (left + 1, x - left)):
        for tap_y, weight_y in ((top, top + 1 - y), (top + 1, y - top)):
            inside = (tap_x >= 0) & (tap_x < width) & (tap_y >= 0) & (tap_y < height)
            pixels = frames[item, :, tap_y.clamp(0, height - 1).long(), tap_x.clamp(0, width - 1).long()]
            crops += (weight_x * weight_y * inside).unsqueeze(3) * pixels
    return (crops if frames.is_floating_point() else crops.round()).to(frames.dtype).permute(0, 3, 1, 2)

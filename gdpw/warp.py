"""Moving pictures and features along a flow.

A flow has shape (B, 2, H, W): x, then y, in NDC, from a point of the driving picture to the point of the source that
shows there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gdpw.precision import full_precision, memory_format


def base_grid(
    height: int, width: int, dtype: torch.dtype = torch.float32, device: torch.device | None = None
) -> Tensor:
    """Coordinates of all pixels, (height, width, 2), x then y.

    Convention: corner-aligned, the centres of the corner pixels lie at -1 and 1. This is not the NDC of the meshes,
    and not what `backward_warp` samples with; see there.
    """
    y = 2 * torch.arange(height, dtype=dtype, device=device) / (height - 1) - 1
    x = 2 * torch.arange(width, dtype=dtype, device=device) / (width - 1) - 1
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)


def backward_warp(feature: Tensor, flow: Tensor) -> Tensor:
    """Sample `feature` where `flow` points.

    feature: (B, C, H, W), any range and float type; B may be 1 for a feature shared by all flows.
    flow: (B, 2, H, W), float32 or more precise.
    Returns (B, C, H, W) in the type and memory format of `feature`, sampled in the type of `flow`; zero where the flow
    leaves the picture.
    Raises ValueError if the two sizes differ.
    Convention: corner-aligned grid, sampled with align_corners=False, so zero flow is not the identity: the picture
    shrinks towards its centre by half a pixel at the rim. The released weights were trained so.
    Source: GDPW (BMVC 2022), parity README section 5.
    """
    if feature.shape[-2:] != flow.shape[-2:]:
        raise ValueError(f"feature {tuple(feature.shape)} and flow {tuple(flow.shape)} differ in height or width")
    height, width = flow.shape[-2:]
    grid = base_grid(height, width, flow.dtype, flow.device) + flow.permute(0, 2, 3, 1)
    # Not channels last: a GPU samples neighbours side by side, channel by channel.
    shared = feature.to(grid.dtype, memory_format=torch.contiguous_format).expand(len(flow), -1, -1, -1)
    sampled = F.grid_sample(shared, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.to(feature.dtype, memory_format=memory_format(feature))


def flow_from_head(displacement: Tensor) -> Tensor:
    """What a flow head predicts -> the flow of the next finer level.

    displacement: (B, 2, h, w), in pixels of the next finer level.
    Returns (B, 2, 2h, 2w), at least float32, NDC (corner-aligned: one pixel is 2 / (size - 1)).
    """
    finer = F.interpolate(full_precision(displacement), scale_factor=2, mode="bilinear", align_corners=False)
    height, width = finer.shape[-2:]
    x, y = finer.split(1, dim=1)
    return torch.cat([2 * x / (width - 1), 2 * y / (height - 1)], dim=1)


def resize_area(picture: Tensor, height: int, width: int) -> Tensor:
    """Shrink (B, C, H, W) by area averaging; the very same tensor where the size is right already."""
    if picture.shape[-2:] == (height, width):
        return picture
    return F.interpolate(picture, (height, width), mode="area")

"""Coordinates of meshes in a picture.

Convention: NDC, x = 2 * px / width - 1 with pixel edges (not centres) at whole px, so that -1 and 1 are the picture's
edges and the centre of pixel j lies at (2j + 1) / width - 1; y likewise, down; z grows away from the viewer.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pixels_to_ndc(points: Tensor, width: int, height: int) -> Tensor:
    """(..., 2 or 3) points in pixels -> NDC; z, where there is one, stays as it is."""
    size = points.new_tensor([width, height])
    return torch.cat([2 * points[..., :2] / size - 1, points[..., 2:]], dim=-1)


def ndc_to_pixels(points: Tensor, width: int, height: int) -> Tensor:
    """The inverse of `pixels_to_ndc`."""
    size = points.new_tensor([width, height])
    return torch.cat([(points[..., :2] + 1) / 2 * size, points[..., 2:]], dim=-1)


def normalize_depth(vertices: Tensor) -> Tensor:
    """Meshes (B, V, 3) with z stretched to -1..1, each mesh by its own range.

    Source: GDPW (BMVC 2022), parity README section 9.
    """
    xy, z = vertices[..., :2], vertices[..., 2:]
    nearest, farthest = z.amin(dim=1, keepdim=True), z.amax(dim=1, keepdim=True)
    return torch.cat([xy, 2 * (z - nearest) / (farthest - nearest + 1e-8) - 1], dim=-1)


def turned_away(vertices: Tensor, faces: Tensor) -> Tensor:
    """Which faces (F, 3) of meshes (B, V, 3) face away from the viewer: (B, F) bool.

    Those with a positive area with y down. Source: GDPW (BMVC 2022), parity README section 9.
    """
    a, b, c = vertices[..., :2][:, faces.long()].unbind(2)
    (right, down), (other_right, other_down) = (b - a).unbind(-1), (c - a).unbind(-1)
    return right * other_down - down * other_right > 0

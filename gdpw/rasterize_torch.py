"""The z-buffer of `rasterize` in plain torch: reference of the compiled one, and its stand-in on other devices."""

from __future__ import annotations

import torch
from torch import Tensor


def draw(
    exact: Tensor, drawn: Tensor, z: Tensor, faces: Tensor, height: int, width: int, closed: bool, cull: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Triangle (B, H, W) int32, barycentrics (B, H, W, 2) and depth (B, H, W) float32, see `Fragments`.

    exact: (B, V, 2) float64, pixels from the picture's middle; gives the weights.
    drawn: (B, V, 2) float64, the same, perhaps rounded; says which centres a face covers.
    z: (B, V) float32. faces: (F, 3) int32.
    closed: a centre on an edge is inside. Else only where that edge, walked with the inside on the right, goes up or
    level to the right.
    """
    triangle = _find_nearest(drawn, z, faces, height, width, closed)
    return _weigh_corners(exact, z, faces, triangle, cull)


def _cross(first: Tensor, second: Tensor) -> Tensor:
    """(..., 2) x (..., 2) -> (...); of edges b - a and c - a, twice the area, positive if a, b, c turn x to y."""
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def _find_nearest(drawn: Tensor, z: Tensor, faces: Tensor, height: int, width: int, closed: bool) -> Tensor:
    """Number + 1 of the face seen at each pixel's centre, (B, H, W) int32."""
    a, b, c = drawn[:, faces].unbind(2)  # each (B, F, 2)
    area = _cross(b - a, c - a)
    turned = (area < 0)[..., None]
    b, c = torch.where(turned, c, b), torch.where(turned, b, c)
    corner_z = torch.where(turned, z[:, faces][..., [0, 2, 1]], z[:, faces])

    # every pixel in the bounds of every face, all in one row: `item` names the face
    half = drawn.new_tensor([width, height]) / 2
    corners = torch.stack([a, b, c])
    first = (corners.amin(0) + half - 0.5).ceil().clamp(min=0)
    last = torch.minimum((corners.amax(0) + half - 0.5).floor(), 2 * half - 1)
    size = torch.where((area != 0)[..., None], last - first + 1, 0).clamp(min=0).nan_to_num(0).long().flatten(0, 1)
    count = size.prod(-1)
    item = torch.repeat_interleave(torch.arange(len(count), device=count.device), count)
    place = torch.arange(len(item), device=item.device) - (count.cumsum(0) - count)[item]
    steps = torch.stack([place % size[item, 0], place // size[item, 0]], dim=-1)
    pixel = first.flatten(0, 1)[item].long() + steps
    centre = pixel + 0.5 - half

    a, b, c = (corner.flatten(0, 1)[item] for corner in (a, b, c))
    edges = (c - b, a - c, b - a)
    sides = [_cross(edge, centre - start) for edge, start in zip(edges, (b, c, a), strict=True)]
    inside = torch.ones_like(item, dtype=torch.bool)
    for edge, side in zip(edges, sides, strict=True):
        dx, dy = edge.unbind(-1)
        inside &= (side > 0) | ((side == 0) & (closed | (dy < 0) | ((dy == 0) & (dx > 0))))
    item, pixel, sides = item[inside], pixel[inside], [side[inside] for side in sides]

    za, zb, zc = corner_z.flatten(0, 1)[item].unbind(-1)
    scale = 1 / area.abs().flatten()[item]
    depth = ((sides[0] * za + sides[1] * zb + sides[2] * zc) * scale).float()
    mesh, face = item // len(faces), item % len(faces)
    target = (mesh * height + pixel[:, 1]) * width + pixel[:, 0]
    nearest = depth.new_full((len(drawn) * height * width,), torch.inf).scatter_reduce(0, target, depth, "amin")
    seen = depth == nearest[target]
    nothing = len(faces)
    found = face.new_full((len(nearest),), nothing).scatter_reduce(0, target[seen], face[seen], "amin")
    return torch.where(found == nothing, 0, found + 1).int().view(len(drawn), height, width)


def _weigh_corners(
    exact: Tensor, z: Tensor, faces: Tensor, triangle: Tensor, cull: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Triangles without the culled ones, barycentrics, depth."""
    height, width = triangle.shape[1:]
    mesh, row, column = torch.nonzero(triangle, as_tuple=True)
    corner = faces[triangle[mesh, row, column] - 1].long()  # (N, 3)
    a, b, c = exact[mesh[:, None], corner].unbind(1)
    centre = torch.stack([column + 0.5 - width / 2, row + 0.5 - height / 2], dim=-1).to(exact.dtype)
    area = _cross(b - a, c - a)
    scale = torch.where(area == 0, 0, 1 / area)  # only the rounded triangle had an area: take the third corner
    first = _cross(c - b, centre - b) * scale
    second = _cross(a - c, centre - c) * scale
    za, zb, zc = z[mesh[:, None], corner].unbind(1)
    seen = ~(area > 0) if cull else torch.ones_like(area, dtype=torch.bool)
    weights = torch.stack([first, second], dim=-1).clamp(0, 1)
    weights = weights * (1 / weights.sum(-1, keepdim=True).clamp(min=1))
    bary = exact.new_zeros((*triangle.shape, 2), dtype=torch.float32)
    bary[mesh, row, column] = (weights * seen[:, None]).float()
    depth = torch.zeros_like(bary[..., 0])
    depth[mesh, row, column] = ((first * za + second * zb + (1 - first - second) * zc) * seen).float()
    triangle = triangle.clone()
    triangle[mesh, row, column] *= seen
    return triangle, bary, depth

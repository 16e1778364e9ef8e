"""Antialiasing of silhouettes: where an outline passes between two pixels, they blend by where it passes.

Source: Laine et al., Modular primitives for high-performance differentiable rendering (2020), as nvdiffrast 0.4
computes it; parity README, sections 9 and 17. No gradient flows to the vertices.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gdpw.rasterize import Fragments

_REACH = 1 / 16
"""How far beyond the two centres, in pixels, a crossing still counts: rounding has moved the face that far."""


def vertices_across(faces: Tensor) -> Tensor:
    """For edge k of each face, which lies opposite its corner k: the third vertex of the face beyond; -1 for none.

    faces: (F, 3). Returns (F, 3) int64. Of an edge with more than two faces, the first two are a pair.
    """
    corners = faces.long().flatten()
    edges = faces.long()[:, [[1, 2], [2, 0], [0, 1]]].flatten(0, 1).sort(dim=1).values
    _, edge, uses = edges.unique(dim=0, return_inverse=True, return_counts=True)
    order = edge.argsort(stable=True)
    first = (uses.cumsum(0) - uses)[uses > 1]
    one, other = order[first], order[first + 1]
    across = torch.full_like(corners, -1)
    across[one], across[other] = corners[other], corners[one]
    return across.view(-1, 3)


def antialias(maps: Tensor, fragments: Fragments, vertices: Tensor, faces: Tensor, across: Tensor) -> Tensor:
    """Blend pixels along silhouettes.

    maps: (B, C, H, W), what `interpolate` drew; gets a gradient. fragments: what was drawn, after culling.
    vertices: (B, V, 3) NDC. faces: (F, 3). across: `vertices_across(faces)`.
    Returns (B, C, H, W). Contributions of several pairs of pixels add up; all read `maps` as it was.
    """
    batch, channels, height, width = maps.shape
    with torch.no_grad():
        points = vertices[..., :2].double() * (vertices.new_tensor([width, height]) / 2)  # pixels from the middle
        outlines = _outlines(points, faces, across)
        pairs = [_blends(axis, fragments, points, faces, outlines) for axis in (0, 1)]
        target, source, share = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    pixels = maps.permute(0, 2, 3, 1).reshape(-1, channels)
    change = share.to(maps.dtype)[:, None] * (pixels[source] - pixels[target])
    return pixels.index_add(0, target, change).view(batch, height, width, channels).permute(0, 3, 1, 2)


def _blends(
    axis: int, fragments: Fragments, points: Tensor, faces: Tensor, outlines: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Which pixels (N,) move towards which (N,) by which share (N,), 0..1/2, for neighbours along x (0) or y (1)."""
    height, width = fragments.triangle.shape[1:]

    # the pairs whose nearer face has an outline
    dim = 2 - axis
    count = fragments.triangle.shape[dim]
    number = [fragments.triangle.narrow(dim, start, count - 1) for start in (0, 1)]
    depth = [fragments.depth.narrow(dim, start, count - 1) for start in (0, 1)]
    second_owns = (number[0] == 0) | ((number[1] > 0) & (depth[1] < depth[0]))
    owner = torch.where(second_owns, number[1], number[0]).long()
    mesh = torch.arange(len(points), device=owner.device)[:, None, None]
    has_outline = outlines.any(dim=2)[mesh, (owner - 1).clamp(min=0)]
    mesh, row, column = torch.nonzero((number[0] != number[1]) & has_outline, as_tuple=True)
    face = owner[mesh, row, column] - 1
    forward = torch.where(second_owns[mesh, row, column], -1, 1)  # from the owner to the other pixel
    first = (mesh * height + row) * width + column
    second = first + (width if axis else 1)
    owner, other = torch.where(forward > 0, first, second), torch.where(forward > 0, second, first)

    # where the owner's edges cross the line through both centres, in pixels from the owner's
    owner_row, owner_column = owner // width % height, owner % width
    centre = torch.stack([owner_column + 0.5 - width / 2, owner_row + 0.5 - height / 2], dim=1)
    corner = points[mesh[:, None], faces[face]] - centre[:, None]  # (N, 3, 2)
    start, end = corner[:, [1, 2, 0]], corner[:, [2, 0, 1]]
    along, beside = (start[..., axis], end[..., axis]), (start[..., 1 - axis], end[..., 1 - axis])
    step = end - start
    crossing = along[0] - beside[0] * step[..., axis] / step[..., 1 - axis]
    straddles = (beside[0] < 0) != (beside[1] < 0)
    distance, edge = torch.where(straddles, crossing * forward[:, None], -torch.inf).max(dim=1)

    step = step[torch.arange(len(edge), device=edge.device), edge].abs()
    counts = (
        outlines[mesh, face, edge]
        & (step[:, 1 - axis] >= step[:, axis])
        & (distance >= -_REACH)
        & (distance <= 1 + _REACH)
    )
    distance, owner, other = distance[counts].clamp(0, 1) - 0.5, owner[counts], other[counts]
    outside = distance > 0  # the face reaches into the other pixel
    return torch.where(outside, other, owner), torch.where(outside, owner, other), distance.abs()


def _outlines(points: Tensor, faces: Tensor, across: Tensor) -> Tensor:
    """Which edges (B, F, 3) are silhouettes: no face beyond, or one that lies on the same side in the picture."""
    corner = points[:, faces]
    start, step = corner[:, :, [1, 2, 0]], corner[:, :, [2, 0, 1]] - corner[:, :, [1, 2, 0]]
    sides = []
    for third in (corner, points[:, across.clamp(min=0)]):
        x, y = (third - start).unbind(-1)
        sides.append(step[..., 0] * y - step[..., 1] * x < 0)
    return (across < 0) | (sides[0] == sides[1])

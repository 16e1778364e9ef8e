"""Vertex attributes -> maps of the picture. No gradient flows to the vertices; attributes get theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gdpw import rasterize_torch
from gdpw.geometry import normalize_depth

SNAP = 16
"""Steps of a pixel in which nvdiffrast rounds."""


Draw = Callable[[Tensor, Tensor, Tensor, Tensor, int, int, bool, bool], tuple[Tensor, Tensor, Tensor]]
"""See `rasterize_torch.draw`."""


class Fragments(NamedTuple):
    """What the centre of each pixel sees, in pictures (H, W) of B meshes; all 0 where it sees nothing.

    triangle: (B, H, W) int32, index of the face + 1.
    bary: (B, H, W, 2) float32, weights of the face's first and second vertex, 0..1.
    depth: (B, H, W) float32, -1 (nearest vertex of the mesh) .. 1 (farthest).
    """

    triangle: Tensor
    bary: Tensor
    depth: Tensor


@torch.no_grad()
def rasterize(
    vertices: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    snap: int | None = SNAP,
    cull: bool = True,
    draw: Draw | None = None,
) -> Fragments:
    """Draw meshes into a z-buffer.

    vertices: (B, V, 3) NDC; the smallest z wins, of equal ones the first face.
    faces: (F, 3).
    snap: round to 1 / snap pixels, and give a centre on a shared edge to one of its faces. None: exact, and both have
    it.
    cull: empty the pixels whose face is turned away (positive area with y down). As published, this comes after the
    depth test, so surfaces behind do not appear.
    draw: the z-buffer; by default the compiled one on the CPU and the one in torch elsewhere.
    Raises ValueError if a shape is wrong or, on the CPU, a face names a missing vertex.
    Source: parity README, sections 9 (GDPW, BMVC 2022) and 17 (nvdiffrast 0.4).
    """
    if vertices.ndim != 3 or vertices.shape[-1] != 3 or faces.ndim != 2 or faces.shape[-1] != 3:
        raise ValueError(f"need vertices (B, V, 3) and faces (F, 3), got {tuple(vertices.shape)}, {tuple(faces.shape)}")
    on_cpu = vertices.device.type == "cpu"
    if on_cpu and faces.numel() and not 0 <= faces.min() <= faces.max() < vertices.shape[1]:
        raise ValueError(f"faces name vertices {faces.min()} to {faces.max()}, there are {vertices.shape[1]}")
    if draw is None:
        draw = _compiled_draw() if on_cpu else rasterize_torch.draw
    exact = vertices[..., :2].double() * (vertices.new_tensor([width, height]) / 2)
    drawn = (exact * snap).round() / snap if snap else exact
    z = normalize_depth(vertices)[..., 2].float()
    return Fragments(*draw(exact, drawn, z, faces.int(), height, width, not snap, cull))


def _compiled_draw() -> Draw:
    """Imported when first used: meshes drawn on a GPU need no numba."""
    from gdpw import rasterize_numba

    return rasterize_numba.draw


def interpolate(fragments: Fragments, faces: Tensor, attributes: Tensor) -> Tensor:
    """Spread vertex attributes over the picture, linearly within each face.

    faces: (F, 3), those that were drawn. attributes: (B, V, C) any range; gets a gradient.
    Returns (B, C, H, W); 0 where there is nothing.
    """
    batch, count, channels = attributes.shape
    corners = F.pad(faces.int() + 1, (0, 0, 1, 0))[fragments.triangle.flatten(1)]  # row 0: nothing is seen
    corners = corners + (count + 1) * torch.arange(batch, dtype=torch.int32, device=faces.device)[:, None, None]
    first, second = fragments.bary.to(attributes.dtype).flatten(0, 2).unbind(-1)
    weights = torch.stack([first, second, 1 - first - second], dim=-1)
    table = F.pad(attributes, (0, 0, 1, 0)).flatten(0, 1)
    pixels = F.embedding_bag(corners.flatten(0, 1), table, per_sample_weights=weights, mode="sum")
    return pixels.view(*fragments.triangle.shape, channels).permute(0, 3, 1, 2)

"""Meshes as plaster heads, alone or over their pictures: what a face's shape and pose are."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fit_deca.normals import vertex_normals
from fit_deca.shading import FACTORS, shade
from gdpw.geometry import pixels_to_ndc
from gdpw.rasterize import interpolate, rasterize

AMBIENT, DIRECTED = 0.4, (0.1, 0.25, 0.45)
"""Light from everywhere, and from the front, above and the head's left: shares of white."""

_SAMPLES = 2
"""Samples a side of a pixel, for smooth outlines."""


def draw_shaded(
    vertices: Tensor,  # (B, V, 3) pixels, y down, z away from the viewer in the same unit
    faces: Tensor,  # (F, 3)
    height: int,
    width: int,
) -> NDArray[np.uint8]:  # (B, height, width, 3)
    """The front of each mesh in gray, black around it; drawn on the CPU."""
    lit, _ = _draw(vertices, faces, height, width, _light().expand(len(vertices), -1, -1))
    return _as_bytes(lit)


def draw_over(
    images: NDArray[np.uint8],  # (B, H, W, 3)
    vertices: Tensor,  # (B, V, 3) pixels of the images, y down, z away from the viewer in the same unit
    faces: Tensor,  # (F, 3)
    light: Tensor | None = None,  # (B, 9, 3), as `shade` takes it
) -> NDArray[np.uint8]:  # (B, H, W, 3)
    """The front of each mesh over its picture, in the light that DECA saw there, or in ours; drawn on the CPU."""
    light = _light().expand(len(vertices), -1, -1) if light is None else light.cpu()
    lit, covered = _draw(vertices, faces, images.shape[1], images.shape[2], light)
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return _as_bytes(lit + (1 - covered) * pictures)


@torch.no_grad()
def _draw(vertices: Tensor, faces: Tensor, height: int, width: int, light: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (B, 3, height, width), black around the meshes, and the share of each pixel (B, 1, ...) they cover."""
    vertices, faces = vertices.cpu(), faces.cpu()
    ndc = pixels_to_ndc(vertices, width, height)
    fragments = rasterize(ndc, faces, _SAMPLES * height, _SAMPLES * width)
    normals = interpolate(fragments, faces, vertex_normals(vertices * vertices.new_tensor([1, -1, -1]), faces))
    lit = shade(normals.permute(0, 2, 3, 1), light).clamp(0, 1)
    seen = (fragments.triangle > 0)[:, None].float()
    return F.avg_pool2d(lit.permute(0, 3, 1, 2) * seen, _SAMPLES), F.avg_pool2d(seen, _SAMPLES)


def _as_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    return (pictures * 255).round().byte().permute(0, 2, 3, 1).numpy()


def _light() -> Tensor:
    """(1, 9, 3), as `shade` takes it."""
    bands = torch.zeros(9)
    bands[:4] = torch.tensor([AMBIENT, *DIRECTED]) / torch.tensor(FACTORS[:4])
    return bands[None, :, None].expand(1, 9, 3)

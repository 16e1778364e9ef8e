"""Vertex normals of a mesh."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def vertex_normals(
    vertices: Tensor,  # (B, V, 3)
    faces: Tensor,  # (F, 3)
) -> Tensor:  # (B, V, 3)
    """Unit normals, each the mean of the faces around a vertex weighted by their areas.

    They point to the side from which the faces wind counter-clockwise. A vertex without area around it gets zero.
    """
    first, second, third = vertices[:, faces].unbind(-2)
    doubled_area = torch.cross(second - first, third - first, dim=-1)
    total = torch.zeros_like(vertices)
    for corner in faces.unbind(-1):
        total = total.index_add(1, corner, doubled_area)
    return normalize(total, dim=-1, eps=1e-6)

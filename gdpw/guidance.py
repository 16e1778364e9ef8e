"""What the meshes tell the generator: maps of flow and embedding, drawn by the rasteriser."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Guidance(NamedTuple):
    """Maps on the driving plane, for one batch of driving meshes; zero where no mesh is seen.

    flow: (B, 2, H, W) NDC, driving -> source.
    embedding: (B, 16, H, W) the vertices' embeddings; None under geom_disp.
    """

    flow: Tensor
    embedding: Tensor | None


class MeshRenderer(nn.Module):
    """Draws per-vertex attributes of meshes that share `faces` (F, 3). State: `tri` (F, 3) int32."""

    tri: Tensor

    def __init__(self, faces: Tensor) -> None:
        super().__init__()
        self.register_buffer("tri", faces.to(torch.int32))

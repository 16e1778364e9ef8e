"""What the meshes tell the generator: maps of flow and embedding, drawn by the rasteriser."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gdpw.rasterizer import RasterizerName, make_rasterizer


class Guidance(NamedTuple):
    """Maps on the driving plane, for one batch of driving meshes; zero where no mesh is seen.

    flow: (B, 2, H, W) NDC, driving -> source.
    embedding: (B, 16, H, W) the vertices' embeddings; None under geom_disp.
    """

    flow: Tensor
    embedding: Tensor | None


class MeshRenderer(nn.Module):
    """Draws per-vertex attributes of meshes that share `faces` (F, 3). State: `tri` (F, 3) int32.

    Source: parity README, section 9. The visibility of the source's vertices, which the published renderer computes and
    drops, is left out.
    """

    tri: Tensor

    def __init__(self, faces: Tensor, rasterizer: RasterizerName) -> None:
        super().__init__()
        self.register_buffer("tri", faces.to(torch.int32))
        with faces.device:  # real even in an outline on the meta device
            self.rasterizer = make_rasterizer(rasterizer, faces)

    def forward(self, vertices: Tensor, attributes: Tensor, height: int, width: int) -> Tensor:
        """Maps (B, C, H, W) of attributes (B, V, C) on meshes (B, V, 3), NDC; zero where no face is seen.

        The attributes get a gradient, the vertices none.
        """
        return self.rasterizer(vertices, attributes, height, width)

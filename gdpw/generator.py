"""The generator: a source picture and what the meshes tell -> the driving picture.

The source is encoded once, then decoded under any number of guidance maps; training does both in one `forward`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gdpw.antialias import ReleasedKernel, downsample
from gdpw.blocks import DownBlock, SameBlock, SpadeResBlock, UpBlock
from gdpw.config import EMBEDDING_SIZE, FLOW_SIZE, GeneratorConfig
from gdpw.guidance import Guidance, MeshRenderer
from gdpw.precision import full_precision
from gdpw.rasterizer import RasterizerName
from gdpw.warp import backward_warp, flow_from_head


class SourceFeatures(NamedTuple):
    """What the decoder needs of a source; all that does not depend on the driving mesh.

    image: (B, 3, H, W), 0..1.
    bottleneck: (B, C, h, w), encoder features of the coarsest level.
    shortcuts: stride -> (B, C, h, w), for every other level.
    """

    image: Tensor
    bottleneck: Tensor
    shortcuts: dict[int, Tensor]


class GeneratorOutput(NamedTuple):
    """What the decoder makes; pictures in 0..1, at least float32.

    image: (B, 3, H, W), the result.
    painted, alpha: (B, 3, H, W), (B, 1, H, W), the decoder's own picture and its share under alpha blending.
    warped: (B, 3, H, W), the source moved by the finest flow.
    flows: stride -> (B, 2, h, w) predicted flow, NDC, coarse to fine.
    mesh_flows: stride -> (B, 2, h, w) flow of the meshes, fine to coarse. Zero below full size for neural_codes.
    """

    image: Tensor
    painted: Tensor
    alpha: Tensor
    warped: Tensor
    flows: dict[int, Tensor]
    mesh_flows: dict[int, Tensor]

    def detached(self) -> GeneratorOutput:
        """The same without its history."""
        image, painted, alpha, warped = (x.detach() for x in self[:4])
        flows, mesh_flows = ({stride: flow.detach() for stride, flow in flows.items()} for flows in self[4:])
        return GeneratorOutput(image, painted, alpha, warped, flows, mesh_flows)


class Generator(nn.Module):
    """The GDPW generator. Heights and widths are multiples of the largest stride, at least twice as large.

    Source: GDPW (BMVC 2022), parity README section 4. `shortcut_layers.x32` and `downsamples` are part of the released
    state dicts only: nothing reads them.
    """

    def __init__(self, config: GeneratorConfig, faces: Tensor, rasterizer: RasterizerName = "torch") -> None:
        super().__init__()
        self.config = config
        width, strides = config.width, config.strides
        image_channels = 3 + config.uses_embedding * EMBEDDING_SIZE
        modulation = config.modulation_channels

        if config.uses_embedding:
            self.embeds = nn.Parameter(torch.rand(config.vertices, EMBEDDING_SIZE))
        self.mesh_renderer = MeshRenderer(faces, rasterizer)
        self.down_layers = nn.ModuleDict({"x1": SameBlock(image_channels, width(1))})
        self.down_layers.update({f"x{s}": DownBlock(width(s // 2), width(s)) for s in strides[1:]})
        self.shortcut_layers = nn.ModuleDict({f"x{s}": SameBlock(width(s), width(s)) for s in strides})
        self.downsamples = nn.ModuleDict({f"x{s}": ReleasedKernel(modulation, s) for s in strides})
        self.up_layers = nn.ModuleDict()
        for s in reversed(strides[1:]):
            self.up_layers[f"x{s}_spade"] = SpadeResBlock(2 * width(s), width(s), modulation, width(s))
            self.up_layers[f"x{s}_flow"] = nn.Conv2d(width(s), FLOW_SIZE, 3, padding=1)
            self.up_layers[f"x{s}_up"] = UpBlock(width(s), width(s // 2))
        self.up_layers["x1_out"] = nn.Conv2d(2 * width(1), 4, 3, padding=1)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights and features."""
        return next(self.down_layers.parameters()).dtype

    def draw_source(self, vertices: Tensor, height: int, width: int) -> Tensor | None:
        """Embeddings on the source plane, (B, 16, H, W), from source meshes (B, V, 3) NDC; None under geom_disp."""
        if not self.config.uses_embedding:
            return None
        return self.mesh_renderer(vertices, self.embeds.expand(len(vertices), -1, -1), height, width)

    def draw_guidance(self, source: Tensor, driving: Tensor, height: int, width: int) -> Guidance:
        """What driving meshes (B, V, 3) NDC tell of source meshes (B or 1, V, 3)."""
        flow = source[..., :2] - driving[..., :2]
        if not self.config.uses_embedding:
            return Guidance(self.mesh_renderer(driving, flow, height, width), None)
        attributes = torch.cat([flow, self.embeds.expand(len(driving), -1, -1)], dim=-1)
        return Guidance(*self.mesh_renderer(driving, attributes, height, width).split([FLOW_SIZE, EMBEDDING_SIZE], 1))

    def encode(self, image: Tensor, embedding: Tensor | None) -> SourceFeatures:
        """All that depends on the source alone.

        image: (B, 3, H, W), 0..1.
        embedding: (B, 16, H, W), embeddings on the source plane; None under geom_disp.
        Raises ValueError for a size the levels cannot halve.
        """
        coarsest = self.config.strides[-1]
        if any(side % coarsest or side < 2 * coarsest for side in image.shape[-2:]):
            height, width = image.shape[-2:]
            raise ValueError(f"height and width must be multiples of {coarsest}, twice at least, got {height}x{width}")
        x = image if embedding is None else torch.cat([image, embedding], dim=1)
        x = x.to(self.dtype)
        shortcuts = {}
        for stride in self.config.strides:
            x = self.down_layers[f"x{stride}"](x)
            if stride != coarsest:
                shortcuts[stride] = self.shortcut_layers[f"x{stride}"](x)
        return SourceFeatures(image, x, shortcuts)

    def decode(self, source: SourceFeatures, guidance: Guidance) -> GeneratorOutput:
        """The driving pictures, one a map. A source encoded with batch size 1 serves every map.

        Flows, and the grids made of them, are float32 even where the weights have half precision.
        """
        modulation, mesh_flows = self._modulate(guidance)
        coarsest = self.config.strides[-1]
        x = source.bottleneck.expand(len(guidance.flow), -1, -1, -1)
        x = torch.cat([x, backward_warp(source.bottleneck, mesh_flows[coarsest])], dim=1)
        flows = {}
        for stride in reversed(self.config.strides[1:]):
            x = self.up_layers[f"x{stride}_spade"](x, modulation[stride])
            flow = flow_from_head(self.up_layers[f"x{stride}_flow"](x))
            x = self.up_layers[f"x{stride}_up"](x)
            flows[stride // 2] = flow
            x = torch.cat([x, backward_warp(source.shortcuts[stride // 2], flow)], dim=1)
        painted, alpha = full_precision(self.up_layers["x1_out"](x)).sigmoid().split([3, 1], dim=1)
        warped = backward_warp(source.image, flows[1])
        image = alpha * painted + (1 - alpha) * warped if self.config.alpha_blend else painted
        return GeneratorOutput(image, painted, alpha, warped, flows, mesh_flows)

    def forward(self, image: Tensor, embedding: Tensor | None, guidance: Guidance) -> GeneratorOutput:
        """Encode and decode, item by item of a batch."""
        return self.decode(self.encode(image, embedding), guidance)

    def _modulate(self, guidance: Guidance) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Modulation inputs of the decoder's levels, in the type of the weights, and mesh flows, by stride.

        For neural_codes the flow below full size, and so the displacement of the bottleneck, is zero.
        """
        batch, _, height, width = guidance.flow.shape
        reduced = self.config.strides[1:]
        parts = []
        if guidance.embedding is not None:
            parts.append(downsample(guidance.embedding.to(self.dtype), reduced))
        if self.config.uses_flow:
            flows = downsample(guidance.flow, reduced)
            parts.append([flow.to(self.dtype) for flow in flows])
        else:
            flows = [guidance.flow.new_zeros(batch, FLOW_SIZE, height // s, width // s) for s in reduced]
        modulation = [torch.cat(maps, dim=1) for maps in zip(*parts, strict=True)]
        return dict(zip(reduced, modulation, strict=True)), {1: guidance.flow} | dict(zip(reduced, flows, strict=True))

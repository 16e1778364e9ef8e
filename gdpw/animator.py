"""Animate a picture by meshes, fast: a source encoded once, driving meshes in batches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gdpw.execution import COMPILE_MODES, Execution
from gdpw.folding import fold
from gdpw.generator import Generator, SourceFeatures
from gdpw.guidance import Guidance


class Source(NamedTuple):
    """What all frames of one source share: encoder features (batch of one), and its mesh (V, 3) NDC."""

    features: SourceFeatures
    vertices: Tensor


class Animator:
    """A generator made ready for inference: constants folded, channels last, the dtype of choice.

    generator: any `Generator` in evaluation mode, left as it is.
    dtype: of weights and features; flows, grids, maps and pictures stay float32.
    execution: compiling takes about a minute for each picture size, at its first use.
    batch: frames at once. A compiled decoder always gets as many, the last ones repeated where there are fewer.

    Same two calls as `mesh_warp.MeshWarp`.
    """

    def __init__(
        self,
        generator: Generator,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        execution: Execution = "eager",
        batch: int = 8,
    ) -> None:
        self.device = torch.device(device)
        self.batch = batch
        self.execution = execution
        self.generator = fold(generator, transposed=self.device.type == "cuda").to(self.device)
        for layers in (self.generator.down_layers, self.generator.shortcut_layers, self.generator.up_layers):
            layers.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._decode = self._image
        if execution != "eager":
            self._decode = torch.compile(self._image, fullgraph=True, dynamic=False, mode=COMPILE_MODES[execution])

    @torch.no_grad()
    def encode(self, image: Tensor, vertices: Tensor) -> Source:
        """A source: picture (3, H, W), 0..1, and its mesh (V, 3), NDC.

        Raises ValueError for a size that the generator cannot halve often enough.
        """
        image, vertices = image.to(self.device)[None], vertices.to(self.device)
        embedding = self.generator.draw_source(vertices[None], *image.shape[-2:])
        image = image.contiguous(memory_format=torch.channels_last)
        return Source(self.generator.encode(image, embedding), vertices)

    @torch.no_grad()
    def animate(self, source: Source, driving: Tensor) -> Tensor:
        """The source as the driving meshes (B, V, 3), NDC, have it: (B, 3, H, W) float32, 0..1."""
        frames = []
        for meshes in driving.to(self.device).split(self.batch):
            count = len(meshes)
            if self.execution != "eager":
                meshes = torch.cat([meshes, meshes[-1:].expand(self.batch - count, -1, -1)])
            frames.append(self.decode(source, self.draw(source, meshes))[:count])
        return torch.cat(frames)

    @torch.no_grad()
    def draw(self, source: Source, driving: Tensor) -> Guidance:
        """The first half of `animate`, for one batch: rasterise the driving meshes."""
        return self.generator.draw_guidance(source.vertices, driving, *source.features.image.shape[-2:])

    @torch.no_grad()
    def decode(self, source: Source, guidance: Guidance) -> Tensor:
        """The second half: run the network."""
        picture = self._decode(source.features, guidance)
        # A replayed graph writes its next pictures over these.
        return picture.clone() if self.execution == "graphed" else picture

    def _image(self, features: SourceFeatures, guidance: Guidance) -> Tensor:
        return self.generator.decode(features, guidance).image

"""A fitted face and what it is to do -> pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.codes import Codes
from fit_deca.flame import Flame
from gdpw.geometry import pixels_to_ndc
from pipeline.crop import Window, cut_window
from pipeline.performance import Performance
from pipeline.records import Crops, Fit, Track
from pipeline.shards import Sample

Source = TypeVar("Source")


class Animator(Protocol[Source]):
    """A model that moves a picture: `gdpw.mesh_warp.MeshWarp`, or trained ones."""

    def encode(self, image: Tensor, vertices: Tensor) -> Source:
        """A source picture (3, H, W), 0..1, and its mesh (V, 3) in NDC -> what all its frames share."""

    def animate(self, source: Source, driving: Tensor) -> Tensor:
        """The source with its mesh moved to (B, V, 3) in NDC: (B, 3, H, W), 0..1."""


@dataclass(frozen=True, kw_only=True)
class Take:
    """A person's T pictures, fitted; one that is animated has T = 1.

    times: (T,) float64 seconds. images: (T, S, S, 3) uint8 RGB. codes: batch of T. recover: (T, 3, 3) float64,
    the camera's plane -> pixels of the pictures. vertices: (T, V, 3) float32 in those pixels.
    """

    times: NDArray[np.float64]
    images: NDArray[np.uint8]
    codes: Codes
    recover: NDArray[np.float64]
    vertices: NDArray[np.float32]

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return self.images.shape[1]

    def resized(self, size: int) -> Take:
        """The same with pictures of another size."""
        if size == self.size:
            return self
        scale = size / self.size
        whole = Window(0, 0, self.size)
        return replace(
            self,
            images=np.stack([cut_window(image, whole, size) for image in self.images]),
            recover=np.diag([scale, scale, 1]) @ self.recover,
            vertices=self.vertices * np.float32(scale),
        )

    @classmethod
    def of_fit(cls, track: Track, crops: Crops, fit: Fit) -> Take:
        return cls(times=track.times, images=crops.images, codes=fit.codes, recover=fit.recover, vertices=fit.vertices)

    @classmethod
    def of_samples(cls, samples: Sequence[Sample], flame: Flame | None = None) -> Take:
        """The samples' pictures and fits. flame: gives meshes to samples that were stored without.

        Raises PipelineError where codes are not stored, nor vertices though there is no `flame`.
        """
        codes = Codes.from_flat(torch.from_numpy(np.stack([sample.codes for sample in samples])))
        recover = np.stack([sample.recover for sample in samples])
        if flame and "vertices" not in samples[0].arrays:
            vertices = posed(flame, codes, recover).cpu().numpy()
        else:
            vertices = np.stack([sample.vertices for sample in samples])
        return cls(
            times=np.array([sample.time for sample in samples]),
            images=np.stack([sample.image for sample in samples]),
            codes=codes,
            recover=recover,
            vertices=vertices,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """The picture that a model moves, and the square in its middle that is shown.

    take: one frame. shown: the square's side in pixels. change: (3, 3), pixels of the square -> the take's.
    """

    take: Take
    shown: int
    change: NDArray[np.float64]

    @classmethod
    def of(cls, take: Take) -> Stage:
        """All of it is shown."""
        return cls(take=take, shown=take.size, change=np.eye(3))

    @property
    def inside(self) -> slice:
        """Rows, and columns, of the take's picture that are shown."""
        margin = (self.take.size - self.shown) // 2
        return slice(margin, margin + self.shown)


class Encoded(NamedTuple):
    """A source that a model has looked at: what all its frames share."""

    source: Any
    stage: Stage


class Animate:
    """Source and performance -> the source's picture, moved so, a frame at a time.

    The performance's codes are taken as they are; `transfer` makes them the source's.
    """

    def __init__(self, flame: Flame, model: Animator[Any], batch: int = 16) -> None:
        self.flame, self.model, self.batch = flame, model, batch

    def __call__(self, source: Take | Stage, driving: Performance) -> Iterator[NDArray[np.uint8]]:
        """Yields T pictures (S, S, 3) of the size of what is shown of the source, RGB."""
        return self.move(self.encode(source), driving)

    def encode(self, source: Take | Stage) -> Encoded:
        """The first picture of a take, once for all performances."""
        stage = source if isinstance(source, Stage) else Stage.of(source)
        take = stage.take
        image = torch.from_numpy(take.images[0]).permute(2, 0, 1) / 255
        vertices = pixels_to_ndc(torch.from_numpy(take.vertices[0]), take.size, take.size)
        return Encoded(self.model.encode(image, vertices), stage)

    @torch.no_grad()
    def move(self, encoded: Encoded, driving: Performance) -> Iterator[NDArray[np.uint8]]:
        """Yields T pictures (S, S, 3), RGB; frames are worked out batch by batch, as they are asked for."""
        source, stage = encoded
        size, inside = stage.take.size, stage.inside
        driving = driving.resized(stage.shown)
        driving = replace(driving, recover=stage.change @ driving.recover, size=size)
        for start in range(0, len(driving), self.batch):
            rows = driving.rows(slice(start, start + self.batch))
            vertices = meshes(self.flame, rows)
            frames = self.model.animate(source, pixels_to_ndc(vertices, size, size))[..., inside, inside]
            yield from (frames * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def meshes(flame: Flame, performance: Performance) -> Tensor:
    """The (T, V, 3) meshes of a performance in its pixels, z away from the viewer in the same unit."""
    return posed(flame, performance.codes, performance.recover)


def posed(flame: Flame, codes: Codes, recover: NDArray[np.float64]) -> Tensor:
    """The (T, V, 3) meshes of T codes in pixels. recover: (T, 3, 3), the camera's plane -> those pixels."""
    codes = Codes(*(code.to(flame.v_template.device) for code in codes))
    return retarget(flame, codes, codes, torch.from_numpy(recover))


def retarget(
    flame: Flame,
    source: Codes,  # one row
    driving: Codes,  # T rows
    recover: Tensor,  # (T, 3, 3) the camera's plane -> pixels of the driving pictures
) -> Tensor:  # (T, V, 3) pixels of the driving pictures, z away from the viewer in the same unit
    """Meshes of the source's shape with the driver's expression, pose, eyes and camera."""
    vertices = flame(driving._replace(shape=source.shape.expand_as(driving.shape)))
    recover = recover.to(vertices)
    pixels = apply_recover(project_orthographic(vertices, driving.camera), recover)
    pixels_per_unit = torch.linalg.det(recover[:, :2, :2]).abs().sqrt()
    return torch.cat([pixels[..., :2], pixels[..., 2:] * pixels_per_unit[:, None, None]], dim=2)

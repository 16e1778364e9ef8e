"""One face moves another: a fitted source and a fitted driving take -> pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.codes import Codes
from fit_deca.flame import Flame
from gdpw.geometry import pixels_to_ndc
from pipeline.crop import Window, transform_points
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
    """A person's T pictures, fitted: one that is animated (T = 1), or the ones that drive.

    times: (T,) float64 seconds. images: (T, S, S, 3) uint8 RGB. codes: batch of T. recover: (T, 3, 3) float64,
    the camera's plane -> pixels of the pictures. vertices: (T, V, 3) float32 in those pixels.
    """

    times: NDArray[np.float64]
    images: NDArray[np.uint8]
    codes: Codes
    recover: NDArray[np.float64]
    vertices: NDArray[np.float32]

    @classmethod
    def of_fit(cls, track: Track, crops: Crops, fit: Fit) -> Take:
        return cls(times=track.times, images=crops.images, codes=fit.codes, recover=fit.recover, vertices=fit.vertices)

    @classmethod
    def of_samples(cls, samples: Sequence[Sample]) -> Take:
        return cls(
            times=np.array([sample.time for sample in samples]),
            images=np.stack([sample.image for sample in samples]),
            codes=Codes.from_flat(torch.from_numpy(np.stack([sample.codes for sample in samples]))),
            recover=np.stack([sample.recover for sample in samples]),
            vertices=np.stack([sample.vertices for sample in samples]),
        )


def window_like(driving: Take, source: Take, transform: NDArray[np.float64]) -> Window:
    """The square of the source's picture in which its head lies as the driver's does in his crop.

    As it does most of the time: the median place and size over the driving frames. Then the driver's camera fits the
    source, whose picture is moved no farther than need be.
    transform: (3, 3), the source's whole picture -> the crop of `source`.
    """
    (from_centre, from_scale), (to_centre, to_scale) = _head(source), _head(driving)
    to_picture = np.linalg.inv(transform).astype(np.float64)
    centre = transform_points(from_centre[None], to_picture)[0]
    pixels = from_scale * to_picture[0, 0] / to_scale  # of the picture in one of the crop
    left, top = np.rint(centre - to_centre * pixels).astype(int).tolist()
    return Window(left, top, round(driving.images.shape[2] * pixels))


def _head(take: Take) -> tuple[NDArray[np.float64], float]:
    """Where the head's middle is, (2,) pixels, and how many pixels a unit of model space is wide: medians."""
    centres = take.vertices[..., :2].mean(axis=1, dtype=np.float64)
    scales = take.codes.camera[:, 0].numpy() * np.sqrt(np.abs(np.linalg.det(take.recover[:, :2, :2])))
    return np.median(centres, axis=0), float(np.median(scales))


class Animate:
    """Source and driving take -> the source's picture, moving as the driving face does, a frame at a time.

    The source keeps its shape; expression, pose, eyes and camera are the driver's, as they are and not relative to
    any frame, so that the result sits in the driver's crop.
    Source: GDPW (BMVC 2022), reference face_reenact_demo.py.
    """

    def __init__(self, flame: Flame, model: Animator, batch: int = 16) -> None:
        self.flame, self.model, self.batch = flame, model, batch

    @torch.no_grad()
    def __call__(self, source: Take, driving: Take) -> Iterator[NDArray[np.uint8]]:
        """Yields T pictures (S, S, 3) of the source's size, RGB."""
        image = torch.from_numpy(source.images[0]).permute(2, 0, 1) / 255
        encoded = self.model.encode(image, _ndc(torch.from_numpy(source.vertices[:1]), source)[0])
        for start in range(0, len(driving.times), self.batch):
            rows = slice(start, start + self.batch)
            codes = Codes(*(code[rows] for code in driving.codes))
            vertices = retarget(self.flame, source.codes, codes, torch.from_numpy(driving.recover[rows]))
            frames = self.model.animate(encoded, _ndc(vertices, driving))
            yield from (frames * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


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


def _ndc(vertices: Tensor, take: Take) -> Tensor:
    height, width = take.images.shape[1:3]
    return pixels_to_ndc(vertices, width, height)

"""What the stages hand on: clip -> track -> crops -> fit. From tracks on, one record is one track."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # processes that only decode start in a fifth of the time without torch
    from fit_deca.codes import Codes


class Kind(StrEnum):
    """What lies at a clip's path."""

    VIDEO = "video"
    PICTURE = "picture"
    """A still, one frame."""
    FRAMES = "frames"
    """A folder with a picture a frame."""
    GDPW_FOLDER = "gdpw_folder"
    """A folder with a picture and a mesh a frame; see `gdpw_folder`."""


class Span(NamedTuple):
    """Seconds of a video, counted from its first picture: from start on, up to but not including end."""

    start: float
    end: float

    @classmethod
    def of_frames(cls, start: float, end: float, fps: float) -> Span:
        """Frames start to end - 1 at that rate. The bounds lie half-way between frames, where rounding does no harm."""
        return cls((start - 0.5) / fps, (end - 0.5) / fps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """Where an annotation sees its person in a video, at N moments.

    times: (N,) float64, rising seconds from the first picture of the video. sides: (N, 4) float32, left, top, right,
    bottom; they may reach past the picture.
    width, height: of the picture in which the sides are measured; 1 and 1 for fractions, width None where the
    height alone is stated and the width follows from the video's proportions.
    """

    times: NDArray[np.float64]
    sides: NDArray[np.float32]
    width: float | None
    height: float

    def reaching_past(self) -> int:
        """How many of them reach past the picture."""
        width = self.width or np.inf
        return int(((self.sides[:, :2] < 0) | (self.sides[:, 2:] > [width, self.height])).any(1).sum())

    def in_picture(self, times: NDArray[Any], width: int, height: int) -> NDArray[np.float64]:
        """The boxes nearest to (T,) times, (T, 4) in pixels of the video's pictures of that size.

        Convention: what reaches past the picture is cut off, as the published tool for VoxCeleb does.
        """
        nearest = np.searchsorted((self.times[1:] + self.times[:-1]) / 2, times)
        scale_y = height / self.height
        scale_x = width / self.width if self.width else scale_y
        pixels = self.sides[nearest].astype(np.float64) * [scale_x, scale_y, scale_x, scale_y]
        return pixels.clip(0, [width, height, width, height])


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One input to read, and the names its samples go by.

    path: file or folder as the user named it. identity / video / clip: who, which upload, which cut of it; identity
    falls back to the file's stem.
    span: the part of the video that is meant; None is all of it. boxes: where the person is in it; None is anywhere.
    split: train, test or val where the input says so. annotation: `file:line` that span and boxes come from.
    """

    path: str
    identity: str
    video: str
    clip: str
    kind: Kind = Kind.VIDEO
    span: Span | None = None
    boxes: Boxes | None = None
    split: str | None = None
    annotation: str | None = None


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One decoded picture.

    number: position in the video or folder, from 0; in a training folder the one in the picture's name.
    time: seconds by the stream's own time stamps; in folders 25 pictures are a second.
    image: (H, W, 3) uint8 RGB, upright (display rotation applied).
    box: (4,) left, top, right, bottom in pixels, where an annotation sees the clip's person; None is anywhere.
    """

    number: int
    time: float
    image: NDArray[np.uint8]
    box: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True)
class Track:
    """One person in one clip: T frames in order.

    index: 0 for the first track of the clip. width, height: size of the clip's pictures in pixels.
    numbers: (T,) int64 frame numbers. times: (T,) float64 seconds.
    landmarks: (T, N, 3) float32 in pixels of the clip's pictures (x right, y down; z in the same unit, away from the
    viewer, zero near the head's middle): MediaPipe's 478, or the 68 of a tracker that sees no depth, whose z is 0.
    head_pose: (T, 3, 3) float32, rotation of the head (x right, y up, z to the viewer), for MediaPipe of its canonical
    face.
    """

    clip: Clip
    index: int
    width: int
    height: int
    numbers: NDArray[np.int64]
    times: NDArray[np.float64]
    landmarks: NDArray[np.float32]
    head_pose: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.numbers)


class EncoderCrops(NamedTuple):
    """What DECA's encoder sees: images (T, 224, 224, 3) uint8 RGB; transforms (T, 3, 3) float64, clip -> its pixels."""

    images: NDArray[np.uint8]
    transforms: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Crops:
    """The track's pictures, cut out.

    images: (T, S, S, 3) uint8 RGB. transforms: (T, 3, 3) float64, clip pixels -> crop pixels.
    landmarks: (T, N, 3) float32, the track's, in crop pixels (z scaled like x and y).
    encoder: DECA's own crops, one a frame, where a fitter wants them.
    """

    images: NDArray[np.uint8]
    transforms: NDArray[np.float64]
    landmarks: NDArray[np.float32]
    encoder: EncoderCrops | None = None


@dataclass(frozen=True, kw_only=True)
class Fit:
    """FLAME on every frame of a track.

    codes: batch of T on the CPU. recover: (T, 3, 3) float64, from the camera's plane (-1..1, y down) to crop pixels.
    vertices: (T, V, 3) float32, x and y in crop pixels, z away from the viewer in the same unit.
    error_px: (T, N) float32, distance of each fitted landmark from its tracked one in crop pixels.
    light: (T, 9, 3) float32 spherical harmonics, RGB (`fit_deca.shading`), where the fitter sees it.
    """

    codes: Codes
    recover: NDArray[np.float64]
    vertices: NDArray[np.float32]
    error_px: NDArray[np.float32]
    light: NDArray[np.float32] | None = None

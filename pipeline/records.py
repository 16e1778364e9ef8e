"""What the stages hand on: clip -> track -> crops -> fit. From tracks on, one record is one track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fit_deca.codes import Codes


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One video to read, and the names its samples go by.

    path: file as the user named it. identity / video / clip: who, which upload, which cut of it; identity
    falls back to the file's stem.
    """

    path: str
    identity: str
    video: str
    clip: str


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One decoded picture.

    number: index in decoding order, from 0. time: seconds from the stream's own time stamps.
    image: (H, W, 3) uint8 RGB, upright (display rotation applied).
    """

    number: int
    time: float
    image: NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Track:
    """One person in one clip: T frames in order.

    index: 0 for the first track of the clip. width, height: size of the clip's pictures in pixels.
    numbers: (T,) int64 frame numbers. times: (T,) float64 seconds.
    landmarks: (T, 478, 3) float32, MediaPipe's points in pixels of the clip's pictures (x right, y down;
    z in the same unit, away from the viewer, zero near the head's middle).
    head_pose: (T, 3, 3) float32, MediaPipe's rotation of its canonical face (x right, y up, z to the viewer).
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


@dataclass(frozen=True, kw_only=True)
class Crops:
    """The track's pictures, cut out.

    images: (T, S, S, 3) uint8 RGB. transforms: (T, 3, 3) float64, clip pixels -> crop pixels.
    landmarks: (T, 478, 3) float32, the track's, in crop pixels (z scaled like x and y).
    """

    images: NDArray[np.uint8]
    transforms: NDArray[np.float64]
    landmarks: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """FLAME on every frame of a track.

    codes: batch of T on the CPU. recover: (T, 3, 3) float64, from the camera's plane (-1..1, y down) to crop pixels.
    vertices: (T, V, 3) float32, x and y in crop pixels, z away from the viewer in the same unit.
    error_px: (T, N) float32, distance of each fitted landmark from its tracked one in crop pixels.
    """

    codes: Codes
    recover: NDArray[np.float64]
    vertices: NDArray[np.float32]
    error_px: NDArray[np.float32]

"""MediaPipe's FaceLandmarker on the CPU, as arrays in pixels."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from weakref import finalize

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from mediapipe.tasks.python.vision.face_landmarker import MpFaceLandmarkerResultC
from numpy.typing import NDArray

from pipeline.assets import face_landmarker_file
from pipeline.closing import Closing

_BLANK = np.zeros((64, 64, 3), np.uint8)
_STEP_MS = 1_000_000


@dataclass(frozen=True, eq=False)
class Face:
    """One face in a picture.

    landmarks: (478, 3) float32 pixels of that picture, counted from its edges: x right, y down, z away from the
    viewer in the same unit, zero near the head's middle.
    rotation: (3, 3) float32, from MediaPipe's canonical face (x right, y up, z to the viewer) to the view.
        MediaPipe fits it under a perspective camera of 63 degrees whose axis is the middle of the given picture; in
        a square around the face it is close to the rotation of an orthographic view.
    """

    landmarks: NDArray[np.float32]
    rotation: NDArray[np.float32]

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the points in pixels."""
        left, top = self.landmarks[:, :2].min(0).tolist()
        right, bottom = self.landmarks[:, :2].max(0).tolist()
        return left, top, right, bottom

    @property
    def size(self) -> float:
        """The longer side of the box in pixels."""
        left, top, right, bottom = self.box
        return max(right - left, bottom - top)

    @property
    def roll(self) -> float:
        """Degrees, -180..180, by which the line through the outer eye corners is turned from level."""
        x, y = (self.landmarks[263] - self.landmarks[33])[:2].tolist()
        return float(np.degrees(np.arctan2(y, x)))


class FaceLandmarker(Closing):
    """The landmark model, for single pictures or, with `video`, for pictures that follow one another.

    In video mode MediaPipe looks for a face only where it has none and then follows it. It would also smooth the
    points over time, which costs 0.2 to 1 frame of delay; here pictures are told to be so far apart in time that the
    smoothing does nothing, and points are those of their own picture.
    The same pictures give the same points. faces: the most it looks for. confidence: what the detector must give (0..1)
    for a face to count. Close it, or use it in a `with` statement: it holds threads. One that is forgotten is closed
    in time: MediaPipe closes itself as garbage, too, but may then wait for ever for a thread that was garbage as well.
    """

    def __init__(self, *, video: bool = False, faces: int = 1, confidence: float = 0.5) -> None:
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(face_landmarker_file())),
            running_mode=vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
            num_faces=faces,
            min_face_detection_confidence=confidence,
            output_facial_transformation_matrixes=True,
        )
        self._video = video
        self._clock_ms = 0
        with _quiet_stderr():
            self._landmarker = vision.FaceLandmarker.create_from_options(options)
            self._close = finalize(self, self._landmarker.close)
            self._close.atexit = False  # by then its threads have ended
            self(_BLANK)

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        """Faces in an (H, W, 3) uint8 RGB picture."""
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        if self._video:
            self._clock_ms += _STEP_MS
        height, width = image.shape[:2]
        scale = np.array([width, height, width], np.float32)
        found = _look(self._landmarker, picture, self._clock_ms if self._video else None)
        return [Face(points * scale, _rotation(matrix)) for points, matrix in found]

    def forget(self) -> None:
        """Video mode: the next picture does not follow the last one."""
        self(_BLANK)

    def close(self) -> None:
        self._close()


def _look(
    landmarker: vision.FaceLandmarker, picture: mediapipe.Image, time_ms: int | None
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Points (478, 3), in widths and heights of the picture, and matrix (4, 4) of each face.

    time_ms: of a picture in video mode. As MediaPipe's own `detect` and `detect_for_video`, which make an object of
    each point and so cost two milliseconds a face more.
    """
    result = MpFaceLandmarkerResultC()
    library, handles = landmarker._lib, (landmarker._handle, picture._image_ptr, None)
    if time_ms is None:
        library.MpFaceLandmarkerDetectImage(*handles, ctypes.byref(result))
    else:
        library.MpFaceLandmarkerDetectForVideo(*handles, time_ms, ctypes.byref(result))
    try:
        points = [_coordinates(result.face_landmarks[face]) for face in range(result.face_landmarks_count)]
        matrices = [result.facial_transformation_matrixes[face].to_numpy() for face in range(len(points))]
    finally:
        library.MpFaceLandmarkerCloseResult(ctypes.byref(result))
    return list(zip(points, matrices, strict=True))


def _coordinates(points: ctypes.Structure) -> NDArray[np.float32]:
    """x, y, z (N, 3) of MediaPipe's list of points, structures that begin with them."""
    stride = ctypes.sizeof(points.landmarks.contents)
    values = (ctypes.c_float * (points.landmarks_count * stride // 4)).from_address(
        ctypes.addressof(points.landmarks.contents)
    )
    return np.array(np.frombuffer(values, np.float32).reshape(-1, stride // 4)[:, :3])


def _rotation(matrix: NDArray[np.floating]) -> NDArray[np.float32]:
    """The rotation nearest to the upper left of a (4, 4) matrix that also scales."""
    u, _, vt = np.linalg.svd(np.asarray(matrix, np.float64)[:3, :3])
    return (u @ vt).astype(np.float32)


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keeps the lines away that MediaPipe's native code writes while it starts; it has no setting for them."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

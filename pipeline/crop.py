"""Which part of a picture becomes a sample: face boxes, crops, and the transforms between their pixels.

A transform is a (3, 3) float64 matrix on columns (x, y, 1). Two families of crops live here. The published ones
(encoder crop, final crop) are least-squares similarities of one frame's box, sampled bilinearly. Our own is one fixed
square a track, on whole pixels of the clip, so that the crop adds no motion of its own.

Source of boxes and published crops: GDPW (BMVC 2022), reference Fit-DECA/fit_image.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from fit_deca.encoder import INPUT_SIZE
from pipeline.clips import Reader, read_clip
from pipeline.errors import InputError, Reason
from pipeline.records import Crops, EncoderCrops, Frame, Track
from pipeline.scratch import on_disk

LANDMARKS_68 = (
    *(127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356),  # jaw, ear to ear
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # eyebrows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),  # lips
)
"""Which of MediaPipe's 478 points stand for the 68-point convention, in its order."""


def sixty_eight(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., N, D) points of either tracker -> (..., 68, D), the 68-point convention's."""
    return landmarks if landmarks.shape[-2] == len(LANDMARKS_68) else landmarks[..., LANDMARKS_68, :]


CropMode = Literal["track", "frame", "none"]


class FaceBox(NamedTuple):
    """Bounds of a face in pixels."""

    left: float
    right: float
    top: float
    bottom: float


class Window(NamedTuple):
    """A square of whole pixels; it may reach past the picture."""

    left: int
    top: int
    side: int


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """size: side of the crops in pixels. encoder: whether DECA's crops are wanted too.

    mode: "track" is one fixed square a track; "frame" is one a frame, as the published code cuts them; "none" is the
    whole picture, with black beside it where it is not square.
    """

    size: int = 256
    mode: CropMode = "track"
    encoder: bool = False

    def __post_init__(self) -> None:
        if self.size < 32:
            raise ValueError(f"size must be at least 32 pixels, got {self.size}")
        if self.mode not in get_args(CropMode):
            raise ValueError(f"mode must be one of {', '.join(get_args(CropMode))}, got {self.mode!r}")


def face_box(landmarks: NDArray[Any]) -> FaceBox:
    """Bounds of (N, 2 or more) points; the published crops take the 68-point convention."""
    (left, top), (right, bottom) = landmarks[:, :2].min(0).tolist(), landmarks[:, :2].max(0).tolist()
    return FaceBox(left, right, top, bottom)


def whole_picture(width: int, height: int) -> FaceBox:
    """The box of a picture without a face. The published code swaps its sides; this one does not."""
    return FaceBox(0, width - 1, 0, height - 1)


def similarity(source: NDArray[Any], target: NDArray[Any]) -> NDArray[np.float64]:
    """The transform (rotation, one scale, shift) that takes (N, 2) points to (N, 2) points with least squares.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns (1991).
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    u, stretch, vt = np.linalg.svd((target - target_mean).T @ (source - source_mean) / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    linear = (u * sign) @ vt * (stretch @ sign / source.var(0).sum())
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = target_mean - linear @ source_mean
    return matrix


def _base_and_centre(box: FaceBox) -> tuple[float, float, float]:
    base = (box.right - box.left + box.bottom - box.top) / 2 * 1.1
    return base, box.right - (box.right - box.left) / 2, box.bottom - (box.bottom - box.top) / 2


def encoder_crop(box: FaceBox) -> NDArray[np.float64]:
    """Picture pixels -> DECA's 224 input."""
    base, x, y = _base_and_centre(box)
    half = int(base * 1.25) / 2
    corners = [(x - half, y - half), (x - half, y + half), (x + half, y - half)]
    return similarity(np.array(corners), np.array([(0, 0), (0, INPUT_SIZE), (INPUT_SIZE, 0)]))


def final_crop(box: FaceBox, width: int, height: int) -> NDArray[np.float64]:
    """Picture pixels -> pixels of the published output crop: 3/5 of it above the box's centre, 2/5 below.

    A target that is not square gets a compromise, the least-squares one.
    """
    base, x, y = _base_and_centre(box)
    size = int(base * 1.35)
    left, right, top, bottom = x - size / 2, x + size / 2, y - size * 3 / 5, y + size * 2 / 5
    corners = np.array([(left, top), (left, bottom), (right, top), (right, bottom)])
    target = np.array([(0, 0), (0, height - 1), (width - 1, 0), (width - 1, height - 1)])
    return similarity(corners, target)


def plane_to_pixels(size: int) -> NDArray[np.float64]:
    """The camera's plane (-1..1) -> pixels of a square crop of that side."""
    return np.array([[size / 2, 0, size / 2], [0, size / 2, size / 2], [0, 0, 1]])


def recover_transform(encoder: NDArray[np.float64], final: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels of the encoder crop -> pixels of the output crop; both (..., 3, 3) map the same picture's pixels."""
    return final @ np.linalg.inv(encoder)


def transform_points(points: NDArray[Any], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., N, 2 or 3) points through (..., 3, 3): x and y through the matrix, z by its scale."""
    xy = points[..., :2] @ np.swapaxes(matrix[..., :2, :2], -1, -2) + matrix[..., None, :2, 2]
    scale = np.sqrt(np.abs(np.linalg.det(matrix[..., :2, :2])))
    return np.concatenate([xy, points[..., 2:] * scale[..., None, None]], axis=-1)


def warp_picture(image: NDArray[np.uint8], matrix: NDArray[np.float64], width: int, height: int) -> NDArray[np.uint8]:
    """A published crop: (height, width, 3) of the (H, W, 3) picture, bilinear, black outside, not anti-aliased.

    Convention: the matrix acts on pixel numbers, so that centres are whole; half a pixel off the edge convention.
    """
    return cv2.warpAffine(image, matrix[:2], (width, height), flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def track_window(landmarks: NDArray[Any]) -> Window:
    """The fixed square of a track, from (T, 478, 2 or more) MediaPipe points in clip pixels; see `window_around`."""
    return window_around(frame_boxes(landmarks))


def frame_boxes(landmarks: NDArray[Any]) -> NDArray[np.float64]:
    """Left, top, right and bottom (T, 4) of each frame's face, from (T, 478 or 68, 2 or more) points."""
    points = sixty_eight(landmarks)[..., :2].astype(np.float64)
    return np.concatenate([points.min(1), points.max(1)], axis=1)


def window_around(boxes: NDArray[np.float64]) -> Window:
    """The fixed square of a track whose faces have these `frame_boxes` (T, 4).

    It is framed like the published final crop (1.35 of the base, 3/5 above the centre) around the box in which the
    face stays: first and last percentile of each side over the frames, so that single stray frames do not count. Where
    the face wanders so far that this square would not hold that box and 5 % around it, the square is larger.
    """
    left, top = np.quantile(boxes[:, :2], 0.01, axis=0)
    right, bottom = np.quantile(boxes[:, 2:], 0.99, axis=0)
    base, x, y = _base_and_centre(FaceBox(left, right, top, bottom))
    side = math.ceil(max(base * 1.35, 1.1 * (right - left), 1.1 * (bottom - top) / 2 / (2 / 5)))
    return Window(round(x - side / 2), round(y - side * 3 / 5), side)


def window_transform(window: Window, size: int) -> NDArray[np.float64]:
    """Picture pixels -> pixels of the window's crop, both counted from pixel edges."""
    scale = size / window.side
    return np.array([[scale, 0, -window.left * scale], [0, scale, -window.top * scale], [0, 0, 1]])


def cut_window(image: NDArray[np.uint8], window: Window, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) of the (H, W, 3) picture: averaged over areas where it shrinks, bicubic where it grows.

    Black outside the picture.
    """
    left, top, right, bottom = window.left, window.top, window.left + window.side, window.top + window.side
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    square = np.zeros((window.side, window.side, 3), np.uint8)
    square[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    method = cv2.INTER_AREA if window.side > size else cv2.INTER_CUBIC
    return cv2.resize(square, (size, size), interpolation=method).astype(np.uint8, copy=False)


def crop_track(
    track: Track,
    frames: Iterable[Frame],
    size: int,
    window: Window | None = None,
    *,
    mode: CropMode = "track",
    encoder: bool = False,
) -> Crops:
    """Cut a square out of each of the track's frames, one picture in memory at a time.

    frames: the clip's pictures in order, others than the track's among them; a still is its one frame.
    window: the square of all frames, in place of the mode's. mode: see `CropConfig`. encoder: whether to cut DECA's
    crops too. The crops' pictures lie in a file without a name, so that they take no memory but the system's cache.
    Raises InputError (truncated) if the frames end before the track does.
    """
    if mode == "frame" and window is None:
        cut, transforms = _frame_crops(track, size)
    else:
        window = window or (track_window(track.landmarks) if mode == "track" else _whole_window(track))
        cut, transforms = _window_crops(window, size, len(track))
    images = on_disk((len(track), size, size, 3), np.uint8)
    sides = frame_boxes(track.landmarks).tolist() if encoder else []
    to_encoder = [encoder_crop(FaceBox(left, right, top, bottom)) for left, top, right, bottom in sides]
    faces = on_disk((len(to_encoder), INPUT_SIZE, INPUT_SIZE, 3), np.uint8)
    for row, frame in enumerate(_frames_of(track, frames)):
        images[row] = cut(frame.image, row)
        if encoder:
            faces[row] = warp_picture(frame.image, to_encoder[row], INPUT_SIZE, INPUT_SIZE)
    return Crops(
        images=images,
        transforms=transforms,
        landmarks=transform_points(track.landmarks, transforms).astype(np.float32),
        encoder=EncoderCrops(faces, np.stack(to_encoder)) if encoder else None,
    )


_Cut = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]
"""A picture and its place in the track -> its crop."""


def _window_crops(window: Window, size: int, count: int) -> tuple[_Cut, NDArray[np.float64]]:
    transforms = np.broadcast_to(window_transform(window, size), (count, 3, 3)).copy()
    return lambda image, row: cut_window(image, window, size), transforms


def _frame_crops(track: Track, size: int) -> tuple[_Cut, NDArray[np.float64]]:
    """The published crops, a box a frame; the transforms count pixels from their edges."""
    sides = frame_boxes(track.landmarks).tolist()
    matrices = [final_crop(FaceBox(left, right, top, bottom), size, size) for left, top, right, bottom in sides]
    to_edges = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    transforms = to_edges @ np.stack(matrices) @ np.linalg.inv(to_edges)
    return lambda image, row: warp_picture(image, matrices[row], size, size), transforms


def _whole_window(track: Track) -> Window:
    """The square around all of the clip's picture, in its middle."""
    side = max(track.width, track.height)
    return Window(-((side - track.width) // 2), -((side - track.height) // 2), side)


def _frames_of(track: Track, frames: Iterable[Frame]) -> Iterator[Frame]:
    """The frames with the track's numbers; stops reading after the last."""
    numbers = iter(track.numbers.tolist())
    wanted = next(numbers, None)
    if wanted is None:
        return
    for frame in frames:
        if frame.number == wanted:
            yield frame
            wanted = next(numbers, None)
            if wanted is None:
                return
    raise InputError(Reason.TRUNCATED, f"{track.clip.path}: the video ends before frame {wanted} of its track")


class CropTrack:
    """Track -> its crops, reading its clip and keeping nothing of it but the crops."""

    def __init__(self, config: CropConfig, read: Reader = read_clip) -> None:
        """read: what decodes clips."""
        self.config = config
        self._read = read

    def __call__(self, track: Track) -> Crops:
        frames = self._read(track.clip, int(track.numbers[0]))
        return crop_track(track, frames, self.config.size, mode=self.config.mode, encoder=self.config.encoder)

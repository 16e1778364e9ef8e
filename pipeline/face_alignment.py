"""The original's own landmarks: S3FD finds the face, 2D-FAN its 68 points, through the package face-alignment.

Who is followed from frame to frame, MediaPipe's tracker says (`tracks`); here every frame of a track is looked at anew,
many frames at a time. Source: GDPW (BMVC 2022), reference Fit-DECA; parity README, section 12.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.crop import sixty_eight
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.records import Frame, Track

_WEIGHTS = {"face_alignment.api": "2DFAN-4", "face_alignment.detection.sfd.sfd_detector": "s3fd"}
"""Modules of the package, and the names by which their tables of addresses have the files needed here."""

_SHORTER_SIDE = 128
"""Pixels of the pictures in which faces are looked for."""
_TILE = 3.0
"""Side of what 2D-FAN may see of a face, in sizes of its box; it looks at about two."""


class AlignTrack:
    """Track of MediaPipe's points -> the same with the 68 of 2D-FAN, whose z is 0.

    Frames in which S3FD does not see the track's face are left out of it: there is no box in place of one.
    """

    def __init__(self, min_frames: int, batch: int = 32, device: str | None = None) -> None:
        """min_frames: of a track; batch: frames at a time; device: None is an NVIDIA GPU where there is one.

        Raises PipelineError, one line, where the package or its weights are missing.
        """
        package = _package()
        self._min_frames, self._batch = min_frames, batch
        self._aligner = package.FaceAlignment(
            package.LandmarksType.TWO_D,
            device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
            compile=False,
            max_batch_size=batch,
        )

    def __call__(self, track: Track, frames: Iterable[Frame]) -> Track:
        """frames: the clip's, in order. Raises InputError (no_face) if S3FD sees the face in too few of them."""
        row_of = {number: row for row, number in enumerate(track.numbers.tolist())}
        mediapipe = sixty_eight(track.landmarks)[..., :2]
        rows, points = [], []
        wanted = ((row_of[frame.number], frame.image) for frame in frames if frame.number in row_of)
        for batch in _batches(wanted, self._batch):
            for row, found in self._align(batch, mediapipe):
                rows.append(row)
                points.append(found)
        if len(rows) < min(self._min_frames, len(track)):
            raise InputError(
                Reason.NO_FACE, f"{track.clip.path}: S3FD sees the face in {len(rows)} of {len(track)} frames"
            )
        return replace(
            track,
            numbers=track.numbers[rows],
            times=track.times[rows],
            landmarks=np.pad(np.stack(points), ((0, 0), (0, 0), (0, 1))).astype(np.float32),
            head_pose=track.head_pose[rows],
        )

    def _align(
        self, batch: list[tuple[int, NDArray[np.uint8]]], mediapipe: NDArray[np.float32]
    ) -> list[tuple[int, NDArray[np.float32]]]:
        """Rows of the track, and the 68 points (68, 2) of each in which the face is seen."""
        boxes = self._boxes([image for _, image in batch])
        chosen = [_nearest(found, mediapipe[row]) for (row, _), found in zip(batch, boxes, strict=True)]
        seen = [(row, image, box) for (row, image), box in zip(batch, chosen, strict=True) if box is not None]
        if not seen:
            return []
        # The package takes several faces at a time, but of one picture: so the faces become one, side by side.
        side = max(int(np.ceil(_TILE * max(box[2] - box[0], box[3] - box[1]))) for _, _, box in seen)
        corners = [np.round((box[:2] + box[2:4] - side) / 2).astype(int) for _, _, box in seen]
        shifts = [np.array([column * side, 0]) - corner for column, corner in enumerate(corners)]
        tiles = [_tile(image, corner, side) for (_, image, _), corner in zip(seen, corners, strict=True)]
        moved = [
            np.append(box[:4] + np.tile(shift, 2), box[4:]) for (_, _, box), shift in zip(seen, shifts, strict=True)
        ]
        found = self._aligner.get_landmarks_from_image(np.concatenate(tiles, axis=1), detected_faces=moved)
        return [(row, points - shift) for (row, _, _), points, shift in zip(seen, found, shifts, strict=True)]

    def _boxes(self, images: list[NDArray[np.uint8]]) -> list[NDArray[np.float64]]:
        """The faces of each (H, W, 3) picture, (K, 5): left, top, right, bottom in its pixels, and certainty."""
        height, width = images[0].shape[:2]
        shrink = max(min(height, width) / _SHORTER_SIDE, 1.0)
        size = (round(width / shrink), round(height / shrink))
        small = np.stack([cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images])
        found = self._aligner.face_detector.detect_from_batch(torch.from_numpy(small).permute(0, 3, 1, 2))
        return [np.array(faces, np.float64).reshape(-1, 5) * [shrink, shrink, shrink, shrink, 1] for faces in found]


def _package() -> Any:
    """The package, if it and its weights are there. It would fetch weights by itself, unasked and unchecked."""
    try:
        package = import_module("face_alignment")
    except ImportError as error:
        raise PipelineError(
            f"--tracker face-alignment needs its package ({error}): pip install 'gdpw-pipe[face-alignment]'"
        ) from error
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    missing = []
    for module, name in _WEIGHTS.items():
        address = import_module(module).models_urls[name]
        if not (folder / Path(address).name).is_file():
            missing.append(address)
    if missing:
        raise PipelineError(f"--tracker face-alignment: download {' and '.join(missing)} to {folder}")
    return package


def _nearest(boxes: NDArray[np.float64], points: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Of these faces the one in which most of the points lie, if that is half of them."""
    if not len(boxes):
        return None
    inside = (points >= boxes[:, None, :2]) & (points <= boxes[:, None, 2:4])
    shares = inside.all(2).mean(1)
    best = int(shares.argmax())
    return boxes[best] if shares[best] >= 0.5 else None


def _tile(image: NDArray[np.uint8], corner: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    """The square of the picture with that upper left corner, black outside."""
    left, top = corner.tolist()
    tile = np.zeros((side, side, 3), np.uint8)
    inside = image[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    tile[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return tile


def _batches(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    items = iter(items)
    while batch := list(islice(items, count)):
        yield batch

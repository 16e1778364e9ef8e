"""Find faces of any size in a picture, and follow one of them through pictures that follow one another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.closing import Closing
from pipeline.landmarker import Face, FaceLandmarker

_WINDOW = 2.2
"""Side of the window in which a face is followed, in face sizes."""
_RIM = 0.05
"""A face nearer than this share of the window to its rim gets a new window."""
_GROWTH = 1.5
"""A face that has grown or shrunk by more than this since its window was made gets a new one."""
_PATCH = 384
"""Least pixels of a window that is shrunk; the model itself looks at 256 around the face, 1.5 face sizes."""
_CONFIDENCE = 0.8
"""What the detector must give for a new person: upright faces in their own square pass it, upside-down ones and false
alarms, which the usual 0.5 lets through, do not."""
_LIKENESS, _LIKENESS_IN_NEW_SHOT = 0.4, 0.8
"""Correlation of two face thumbnails below which they show two people. One person from frame to frame: 0.53 and more,
median 0.98, and 0.83 and more where only the camera swings; two people: median 0.14, 99 % below 0.7."""
_TILED_SEARCHES = 0.2
"""Seconds between searches through all tiles, while no face is to be found."""


class Window(NamedTuple):
    """A square of a picture in whole pixels; it may reach past it."""

    left: int
    top: int
    side: int

    @classmethod
    def around(cls, face: Face, sizes: float = _WINDOW) -> Window:
        left, top, right, bottom = face.box
        side = math.ceil(sizes * face.size)
        return cls(round((left + right - side) / 2), round((top + bottom - side) / 2), side)

    @property
    def shrinking(self) -> int:
        """How many pixels of the picture, each way, become one of `cut`."""
        return max(self.side // _PATCH, 1)

    def cut(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The square's pixels, black outside the picture, at most 767x767: large ones are averaged over whole blocks.

        Blocks of whole pixels cost a fortieth of what any other reduction by area does in OpenCV.
        """
        height, width = image.shape[:2]
        side = self.side // self.shrinking * self.shrinking
        left, top, right, bottom = self.left, self.top, self.left + side, self.top + side
        patch: NDArray[Any] = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
        before, after = (max(-top, 0), max(-left, 0)), (max(bottom - height, 0), max(right - width, 0))
        if any(before + after):
            patch = cv2.copyMakeBorder(patch, before[0], after[0], before[1], after[1], cv2.BORDER_CONSTANT)
        if self.shrinking > 1:
            size = side // self.shrinking
            patch = cv2.resize(patch, (size, size), interpolation=cv2.INTER_AREA)
        return patch

    def to_picture(self, face: Face) -> Face:
        """A face found in the pixels of `cut`, in pixels of the picture."""
        corner = np.array([self.left, self.top, 0], np.float32)
        return replace(face, landmarks=face.landmarks * np.float32(self.shrinking) + corner)

    def holds(self, face: Face) -> bool:
        """Whether the face is well inside and has about the size that the window was made for."""
        left, top, right, bottom = face.box
        rim = _RIM * self.side
        growth = face.size * _WINDOW / self.side
        inside = left - rim >= self.left and top - rim >= self.top
        inside = inside and right + rim <= self.left + self.side and bottom + rim <= self.top + self.side
        return inside and 1 / _GROWTH <= growth <= _GROWTH


def same_place(a: Face, b: Face) -> bool:
    """Whether two faces overlap so far that, a moment apart, they are one: a third of their common area."""
    left, top = np.maximum(a.box[:2], b.box[:2])
    right, bottom = np.minimum(a.box[2:], b.box[2:])
    shared = max(right - left, 0) * max(bottom - top, 0)
    return shared > (_area(a) + _area(b) - shared) / 3


def _is_among(faces: Sequence[Face], face: Face) -> bool:
    return any(same_place(face, other) for other in faces)


def _area(face: Face) -> float:
    left, top, right, bottom = face.box
    return (right - left) * (bottom - top)


def _is_in_picture(face: Face, image: NDArray[np.uint8]) -> bool:
    left, top, right, bottom = face.box
    return 0 <= left + right < 2 * image.shape[1] and 0 <= top + bottom < 2 * image.shape[0]


class Sight(NamedTuple):
    """A face as seen in one picture.

    thumbnail: (576,) float32, 24x24 gray values of mean 0 and length 1: the product of two is their correlation.
    """

    face: Face
    thumbnail: NDArray[np.float32]

    @classmethod
    def of(cls, image: NDArray[np.uint8], face: Face) -> Sight:
        patch = cv2.resize(Window.around(face, sizes=1).cut(image), (96, 96))
        gray = cv2.resize(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), (24, 24), interpolation=cv2.INTER_AREA)
        values = gray.astype(np.float32).ravel() - np.float32(gray.mean())
        return cls(face, values / max(float(np.linalg.norm(values)), 1e-6))


class FaceFinder(Closing):
    """Every face in a picture, whatever was in the pictures before.

    The detector of the landmark model sees faces from about a sixth of the picture upwards, so smaller ones are looked
    for in square tiles that overlap by half: as wide as the shorter side, then a half and a quarter of it.
    """

    def __init__(self) -> None:
        self._landmarker = FaceLandmarker(faces=4)

    def __call__(self, image: NDArray[np.uint8], *, tiles: bool = True, besides: Sequence[Face] = ()) -> list[Face]:
        """Faces in pixels of the (H, W, 3) picture, largest first; tiles only where the whole picture shows none.

        besides: faces that are known and not meant.
        """
        height, width = image.shape[:2]
        side = min(height, width)
        levels = [[Window(0, 0, max(height, width))]]
        if tiles:
            levels += [_tiles(width, height, side // parts) for parts in (1, 2, 4) if side // parts >= 64]
        for windows in levels:
            faces = [face for window in windows for face in self.look(image, window)]
            faces = [face for face in faces if not _is_among(besides, face)]
            if faces:
                return _distinct(faces)
        return []

    def look(self, image: NDArray[np.uint8], window: Window) -> list[Face]:
        """Faces inside one window, in pixels of the picture."""
        return [window.to_picture(face) for face in self._landmarker(window.cut(image))]

    def close(self) -> None:
        self._landmarker.close()


def _tiles(width: int, height: int, side: int) -> list[Window]:
    rows, columns = (np.linspace(0, free, math.ceil(2 * free / side) + 1) for free in (height - side, width - side))
    return [Window(round(left), round(top), side) for top in rows.tolist() for left in columns.tolist()]


def _distinct(faces: list[Face]) -> list[Face]:
    """Largest first, without those that show a larger one again."""
    distinct: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.size):
        if not any(same_place(face, kept) for kept in distinct):
            distinct.append(face)
    return distinct


class FaceFollower(Closing):
    """One person's face, picture after picture.

    The face is landmarked in video mode inside a square around it that stays where it is until the face nears its rim:
    in a face-sized square MediaPipe follows small faces as well as large ones. Where it loses the face, the picture is
    searched at once. Of several faces the largest is taken; a person once taken is left for another only after
    `patience` seconds without a sight, at a new shot, or where the face looks unlike the one before.

    numbers: where the numbers of people come from; counted from 0 without one.
    person: number of the person that was followed last.
    turned: whether the last search found a face in the picture when it was turned, but none upright.
    """

    def __init__(self, patience: float, numbers: Iterator[int] | None = None) -> None:
        self.person = -1
        self._numbers = numbers or count()
        self._patience = patience
        self._finder = FaceFinder()
        self._strict = FaceLandmarker(confidence=_CONFIDENCE)
        self._landmarker = FaceLandmarker(video=True)
        self.forget()

    def forget(self) -> None:
        """The next picture does not follow the last one."""
        self.turned = False
        self._others: Sequence[Face] = ()
        self._window: Window | None = None
        self._last: Sight | None = None
        self._seen = self._searched = -math.inf

    @property
    def follows(self) -> bool:
        """Whether there is a person whose next sight is awaited."""
        return self._last is not None

    def __call__(
        self, image: NDArray[np.uint8], time: float, *, new_shot: bool = False, others: Sequence[Face] = ()
    ) -> Sight | None:
        """The face in the next (H, W, 3) picture, or None.

        time: seconds, rising. new_shot: the picture as a whole looks unlike the one before; a face that looks the same
        is followed all the same, since a swinging camera changes a picture as much as a cut does. others: faces in the
        picture that are somebody else's.
        """
        self._others = others
        if self._last is not None and time - self._seen > self._patience:
            self.forget()
        sight = self._same_person(image, time, new_shot)
        if sight is None and new_shot:
            self.forget()
        if sight is None and self._last is None:
            sight = self._new_person(image, time)
        if sight is None:
            self._window = None
            return None
        self._last, self._seen, self._searched, self.turned = sight, time, -math.inf, False
        if self._window and not self._window.holds(sight.face):
            self._window = None
        return sight

    def _same_person(self, image: NDArray[np.uint8], time: float, new_shot: bool) -> Sight | None:
        """The person of the pictures before, if seen in about the same place; forgotten if it looks unlike itself."""
        if self._last is None:
            return None
        if self._window is None:
            face = self._enter(image, self._last.face)
        else:
            face = self._landmark(image, self._window, self._last.face)
        if face is None:
            face = self._find_again(image, time, self._last.face)
        if face is None:
            return None
        sight = Sight.of(image, face)
        likeness = float(sight.thumbnail @ self._last.thumbnail)
        if likeness < (_LIKENESS_IN_NEW_SHOT if new_shot else _LIKENESS):
            self.forget()
            return None
        return sight

    def _find_again(self, image: NDArray[np.uint8], time: float, lost: Face) -> Face | None:
        nearby = self._finder.look(image, Window.around(lost, 2 * _WINDOW))
        candidates = nearby or self._finder(image, tiles=self._thorough(time), besides=self._others)
        return self._first(image, [face for face in candidates if same_place(face, lost)])

    def _new_person(self, image: NDArray[np.uint8], time: float) -> Sight | None:
        """The largest face that is upright beyond doubt."""
        thorough = self._thorough(time)
        candidates = self._finder(image, tiles=thorough, besides=self._others)
        upright = [face for face in candidates if self._strict(Window.around(face).cut(image))]
        if thorough:
            self.turned = not upright and any(self._strict(np.rot90(image, quarters)) for quarters in (1, 2, 3))
        face = self._first(image, upright)
        if face is None:
            return None
        self.person = next(self._numbers)
        return Sight.of(image, face)

    def _thorough(self, time: float) -> bool:
        """Whether it is time to search through all tiles again."""
        if time - self._searched < _TILED_SEARCHES:
            return False
        self._searched = time
        return True

    def _first(self, image: NDArray[np.uint8], candidates: list[Face]) -> Face | None:
        """The first candidate that can be followed in a window of its own."""
        for candidate in candidates:
            face = self._enter(image, candidate)
            if face is not None:
                return face
        return None

    def _enter(self, image: NDArray[np.uint8], face: Face) -> Face | None:
        """Make a window around a face and landmark it there."""
        self._window = Window.around(face)
        self._landmarker.forget()
        return self._landmark(image, self._window, face)

    def _landmark(self, image: NDArray[np.uint8], window: Window, near: Face) -> Face | None:
        """The face in the window, if it is where one was a moment ago, in the picture and nobody else's."""
        for face in (window.to_picture(face) for face in self._landmarker(window.cut(image))):
            if same_place(face, near) and _is_in_picture(face, image) and not _is_among(self._others, face):
                return face
        return None

    def close(self) -> None:
        for part in (self._finder, self._strict, self._landmarker):
            part.close()

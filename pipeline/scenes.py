"""Where one shot ends and the next begins."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 32


class SceneCuts:
    """Tells, picture by picture, whether a new shot begins.

    Pictures are compared as 32x32 thumbnails. A shot begins where their mean absolute difference (0..255, over three
    channels) passes `threshold` and `ratio` times the median of the last second or so, that is, where it stands out of
    the motion around it.
    """

    def __init__(self, threshold: float = 10.0, ratio: float = 4.0) -> None:
        self._threshold, self._ratio = threshold, ratio
        self._last: NDArray[np.int16] | None = None
        self._changes: deque[float] = deque(maxlen=25)

    def __call__(self, image: NDArray[np.uint8]) -> bool:
        """Whether this (H, W, 3) picture begins a shot other than the one before; the first one does not."""
        thumbnail = _thumbnail(image)
        last, self._last = self._last, thumbnail
        if last is None:
            return False
        change = float(np.abs(thumbnail - last).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._changes.append(change)
        return change > max(self._threshold, self._ratio * usual)


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Averages of 4x4 samples: averaging every pixel of a large picture would cost milliseconds."""
    samples = cv2.resize(image, (4 * _SIDE, 4 * _SIDE), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(samples, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)

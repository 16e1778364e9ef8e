"""Cameras of this machine: recorded as a video, which then drives like any other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.encode import write_video
from pipeline.errors import InputError, Reason


class Capture(Protocol):
    """What of `cv2.VideoCapture` is used."""

    def read(self) -> tuple[bool, Any]:
        """Whether there was another picture, and that, (H, W, 3) uint8 BGR."""


def record_camera(number: int, path: Path, seconds: float | None) -> None:
    """Write what a camera sees as an .mp4. seconds: None is until Ctrl-C, which ends the recording and nothing else.

    Raises InputError (unreadable) if there is no such camera or it gives no picture.
    """
    capture = cv2.VideoCapture(number)
    try:
        record(capture, path, seconds, f"camera {number}")
    finally:
        capture.release()


def record(
    capture: Capture, path: Path, seconds: float | None, name: str, clock: Callable[[], float] = time.monotonic
) -> None:
    """See `record_camera`. clock: seconds, rising."""
    stream = _captured(capture, seconds, clock)
    first = next(stream, None)
    if first is None:
        raise InputError(Reason.UNREADABLE, f"{name}: gives no picture; is it connected, and free?")
    ahead = deque([first[1]])  # pictures whose times are known; the writer looks one ahead

    def times() -> Iterator[float]:
        yield 0.0
        for now, picture in stream:
            ahead.append(picture)
            yield now - first[0]

    def pictures() -> Iterator[NDArray[np.uint8]]:
        while ahead:
            yield ahead.popleft()

    write_video(path, pictures(), times())


def _captured(
    capture: Capture, seconds: float | None, clock: Callable[[], float]
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Times and pictures (H, W, 3) RGB, until there is no more, the time is over, or Ctrl-C."""
    start = None
    try:
        while True:
            there, picture = capture.read()
            now = clock()
            start = now if start is None else start
            if not there or (seconds is not None and now - start >= seconds):
                return
            yield now, np.ascontiguousarray(picture[..., ::-1])
    except KeyboardInterrupt:
        return

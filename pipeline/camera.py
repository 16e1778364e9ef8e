"""Cameras of this machine: recorded as a video, which then drives like any other."""

from __future__ import annotations

import time
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
    times: list[float] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        try:
            while True:
                there, picture = capture.read()
                now = clock()
                if not there or (times and seconds is not None and now - times[0] >= seconds):
                    return
                times.append(now)
                yield np.ascontiguousarray(picture[..., ::-1])
        except KeyboardInterrupt:
            return

    stream = pictures()
    first = next(stream, None)
    if first is None:
        raise InputError(Reason.UNREADABLE, f"{name}: gives no picture; is it connected, and free?")
    write_video(path, _with(first, stream), (now - times[0] for now in _growing(times)))


def _with(first: NDArray[np.uint8], rest: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    yield first
    yield from rest


def _growing(times: list[float]) -> Iterator[float]:
    """The entries of a list, up to its end at the time."""
    at = 0
    while at < len(times):
        yield times[at]
        at += 1

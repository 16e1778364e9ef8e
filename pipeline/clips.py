"""The frames that a clip means, whatever lies at its path: a part of a video, a still, a folder of pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError, Reason
from pipeline.gdpw_folder import PICTURE_SUFFIX
from pipeline.media import PICTURE_SUFFIXES, suffix_of
from pipeline.pictures import read_picture
from pipeline.records import Boxes, Clip, Frame, Kind, Span
from pipeline.storage import locate
from pipeline.video import frame_times, read_frames

FOLDER_FPS = 25
"""Pictures a second in folders, which have no time stamps: the rate at which VoxCeleb is cut."""
_ROUNDING = 0.25
"""Of a frame: a span that ends later than the last picture does, but by no more than this, still fits."""

_Picture = tuple[int, Path]
"""Number and file of a frame in a folder."""


class Reader(Protocol):
    """What reads clips: `read_clip`, here, or a `decoder.Decoder`."""

    def __call__(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        """The clip's frames in order, from the one with the number `first` on."""


def read_clip(clip: Clip, first: int = 0) -> Iterator[Frame]:
    """The clip's frames in order, one picture in memory at a time, with the box that the annotation sees in each.

    first: number of the first frame that is wanted.
    Numbers and times are those of the file, also where only a span of it is meant; nothing after the span is decoded.
    Pictures of a folder are numbered in order of their names, those of a training folder by their names.
    Raises InputError: what `read_frames` and `read_picture` raise; unreadable for a folder without pictures or with
    pictures of several sizes; bad_annotation, after the good frames, for a span that reaches past the clip's end.
    """
    frames: Iterator[Frame]
    if clip.kind == Kind.VIDEO:
        times = frame_times(clip.path)
        begin, end = _part(times, clip.span)
        begin = max(begin, first)
        frames = islice(read_frames(clip.path, first=begin), None if end is None else max(end - begin, 0))
    else:
        pictures = _pictures_of(clip)
        times = np.array([number / FOLDER_FPS for number, _ in pictures])
        begin, end = _part(times, clip.span)
        frames = _read_pictures([picture for picture in pictures[begin:end] if picture[0] >= first])
    for frame in frames:
        yield frame if clip.boxes is None else _with_box(frame, clip.boxes, frame.time - times[0])
    if clip.span is not None:
        _check_end(clip, clip.span, times)


def count_frames(clip: Clip) -> int:
    """How many frames a clip has by its listing; nothing is decoded. Raises InputError as `read_clip`."""
    if clip.kind == Kind.VIDEO:
        times = frame_times(clip.path)
    else:
        times = np.array([number / FOLDER_FPS for number, _ in _pictures_of(clip)])
    begin, end = _part(times, clip.span)
    return max((len(times) if end is None else end) - begin, 0)


def _part(times: NDArray[np.float64], span: Span | None) -> tuple[int, int | None]:
    """First frame of a span, and the one after its last; None where it has all the rest, however many will decode."""
    if span is None:
        return 0, None
    first, end = np.searchsorted(times - times[0], span).tolist()
    return first, end if end < len(times) else None


def _check_end(clip: Clip, span: Span, times: NDArray[np.float64]) -> None:
    """Raise InputError if the frames at these times end before the span does; one without an end starts too late."""
    last = times[-1] - times[0]
    step = times[-1] - times[-2] if len(times) > 1 else 0.0
    if span.start > last or last + (1 + _ROUNDING) * step < span.end < math.inf:
        start, end = (_frame_time(bound, step) for bound in span)
        wanted = f"{start:.2f} to {end:.2f} s of {clip.path}, which ends at {last + step:.2f} s"
        raise InputError(Reason.BAD_ANNOTATION, f"{clip.annotation or clip.path}: wants {wanted}")


def _frame_time(bound: float, step: float) -> float:
    """When the frame comes with which a span begins, or before which it ends: spans of frames end between them."""
    return math.ceil(bound / step - _ROUNDING) * step if step and math.isfinite(bound) else bound


def _with_box(frame: Frame, boxes: Boxes, seconds: float) -> Frame:
    height, width = frame.image.shape[:2]
    return replace(frame, box=boxes.in_picture(np.array([seconds]), width, height)[0])


def _read_pictures(pictures: list[_Picture]) -> Iterator[Frame]:
    size = None
    for number, path in pictures:
        image = read_picture(path)
        if image.shape != (size or image.shape):
            raise InputError(Reason.UNREADABLE, f"{path}: its size is not that of the pictures before it")
        size = image.shape
        yield Frame(number=number, time=number / FOLDER_FPS, image=image)


def _pictures_of(clip: Clip) -> list[_Picture]:
    """The pictures of a still or a folder. Raises InputError if there is none."""
    if clip.kind == Kind.PICTURE:
        return [(0, locate(clip.path))]
    pictures = _pictures_in(clip.path)
    return _by_number(pictures) if clip.kind == Kind.GDPW_FOLDER else list(enumerate(pictures))


def _pictures_in(folder: str) -> list[Path]:
    """In order of their names, in which 2 comes before 10. Raises InputError if there is none."""
    try:
        files = [
            file for file in locate(folder).iterdir() if suffix_of(file) in PICTURE_SUFFIXES and file.name[0] != "."
        ]
    except OSError as error:
        raise InputError(Reason.UNREADABLE, f"{folder}: cannot be read ({error.strerror or error})") from None
    if not files:
        raise InputError(Reason.UNREADABLE, f"{folder}: no picture in this folder")
    return sorted(files, key=lambda file: (re.sub(r"\d+", lambda digits: digits[0].zfill(20), file.name), file.name))


def _by_number(pictures: list[Path]) -> list[_Picture]:
    """The frames among them, by the number in `NUMBER_img.jpg`. Raises InputError for other stems, and for no frame."""
    numbered: dict[int, Path] = {}
    for path in pictures:
        stem = path.name.removesuffix(PICTURE_SUFFIX)
        if stem == path.name:
            continue
        if not re.fullmatch(r"[0-9]{1,18}", stem) or int(stem) in numbered:
            raise InputError(Reason.UNREADABLE, f"{path}: a picture here is named NUMBER{PICTURE_SUFFIX}, each once")
        numbered[int(stem)] = path
    if not numbered:
        raise InputError(Reason.UNREADABLE, f"{pictures[0].parent}: no picture NUMBER{PICTURE_SUFFIX} in this folder")
    return sorted(numbered.items())


def at_rate(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """Of the frames those that come nearest after each 1/fps second: all of them, where they are not more frequent."""
    start, due = None, 0
    for frame in frames:
        start = frame.time if start is None else start
        passed = (frame.time - start) * fps + 1e-6
        if passed >= due:
            due = math.floor(passed) + 1
            yield frame


def timed_by_number(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """The frames with their times by their numbers, for files whose time stamps are wrong."""
    return (replace(frame, time=frame.number / fps) for frame in frames)

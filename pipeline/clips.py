"""The frames that a clip means, whatever lies at its path: a part of a video, a still, a folder of pictures."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.errors import InputError, Reason
from pipeline.gdpw_folder import PICTURE_SUFFIX
from pipeline.media import PICTURE_SUFFIXES, suffix_of
from pipeline.pictures import read_picture
from pipeline.records import Clip, Frame, Kind, Span
from pipeline.video import read_frames

FOLDER_FPS = 25
"""Pictures a second in folders, which have no time stamps: the rate at which VoxCeleb is cut."""
_ROUNDING = 0.25
"""Of a frame: a span that ends later than the last picture does, but by no more than this, still fits."""


def read_clip(clip: Clip) -> Iterator[Frame]:
    """The clip's frames in order, one picture in memory at a time, with the box that the annotation sees in each.

    Numbers and times are those of the file, also where only a span of it is meant; reading stops where the span ends.
    Pictures of a folder are numbered in order of their names, those of a training folder by their names.
    Raises InputError: what `read_frames` and `read_picture` raise; unreadable for a folder without pictures or with
    pictures of several sizes; bad_annotation, after the good frames, for a span that reaches past the clip's end.
    """
    frames = _whole(clip)
    return frames if clip.span is None and clip.boxes is None else _as_annotated(clip, frames)


def _whole(clip: Clip) -> Iterator[Frame]:
    match clip.kind:
        case Kind.VIDEO:
            yield from read_frames(clip.path)
        case Kind.PICTURE:
            yield Frame(number=0, time=0.0, image=read_picture(clip.path))
        case Kind.FRAMES:
            yield from _read_folder(enumerate(_pictures(clip.path)))
        case Kind.GDPW_FOLDER:
            yield from _read_folder(_numbered(clip.path))


def _as_annotated(clip: Clip, frames: Iterator[Frame]) -> Iterator[Frame]:
    span = clip.span or Span(0.0, math.inf)
    first: float | None = None
    seconds = step = 0.0
    for frame in frames:
        first = frame.time if first is None else first
        step, seconds = frame.time - first - seconds, frame.time - first
        if seconds >= span.end:
            return
        if seconds >= span.start:
            yield _with_box(clip, frame, seconds)
    end = seconds + step
    if seconds < span.start or end + _ROUNDING * step < span.end < math.inf:
        wanted = f"{span.start:.2f} to {span.end:.2f} s of {clip.path}"
        raise InputError(
            Reason.BAD_ANNOTATION, f"{clip.annotation or clip.path}: wants {wanted}, which ends at {end:.2f} s"
        )


def _with_box(clip: Clip, frame: Frame, seconds: float) -> Frame:
    if clip.boxes is None:
        return frame
    height, width = frame.image.shape[:2]
    return replace(frame, box=clip.boxes.in_picture(np.array([seconds]), width, height)[0])


def _read_folder(pictures: Iterable[tuple[int, Path]]) -> Iterator[Frame]:
    size = None
    for number, path in pictures:
        image = read_picture(path)
        if image.shape != (size or image.shape):
            raise InputError(Reason.UNREADABLE, f"{path}: its size is not that of the pictures before it")
        size = image.shape
        yield Frame(number=number, time=number / FOLDER_FPS, image=image)


def _pictures(folder: str) -> list[Path]:
    """In order of their names, in which 2 comes before 10. Raises InputError if there is none."""
    try:
        names = [name for name in os.listdir(folder) if suffix_of(name) in PICTURE_SUFFIXES and name[0] != "."]
    except OSError as error:
        raise InputError(Reason.UNREADABLE, f"{folder}: cannot be read ({error.strerror})") from None
    if not names:
        raise InputError(Reason.UNREADABLE, f"{folder}: no picture in this folder")
    names.sort(key=lambda name: (re.sub(r"\d+", lambda digits: digits[0].zfill(20), name), name))
    return [Path(folder, name) for name in names]


def _numbered(folder: str) -> list[tuple[int, Path]]:
    """The pictures of a training folder, by number. Raises InputError for a name without one."""
    numbered: dict[int, Path] = {}
    for path in _pictures(folder):
        stem = path.name.removesuffix(PICTURE_SUFFIX)
        if stem == path.name:
            continue
        if not re.fullmatch(r"[0-9]{1,18}", stem) or int(stem) in numbered:
            raise InputError(Reason.UNREADABLE, f"{path}: a picture here is named NUMBER{PICTURE_SUFFIX}, each once")
        numbered[int(stem)] = path
    return sorted(numbered.items())

"""How sources and drivers are named: files, moments of videos, cameras, parts of datasets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import PipelineError
from pipeline.keys import unescape
from pipeline.storage import locate

_MOMENT = re.compile(r"(?P<path>.+)@(?P<seconds>[0-9]+(\.[0-9]*)?|\.[0-9]+)s", re.DOTALL)


class Moment(NamedTuple):
    """The picture that a video shows so many seconds after its first one."""

    path: Path
    seconds: float


class Camera(NamedTuple):
    """A camera of this machine, counted from 0."""

    number: int


class Stored(NamedTuple):
    """Part of a dataset. track: None for all of the clip. frame: its number in the clip; None where none is named."""

    dataset: Path
    identity: str
    video: str
    clip: str
    track: int | None
    frame: int | None


def parse_source(text: str) -> Path | Moment | Stored:
    """`face.png`, `clip.mp4@3.2s` (names or URLs) or `DATASET::identity/video/clip[/track][@frame]`.

    A file of that very name comes first. Raises PipelineError for a text with `::` that is no part of a dataset.
    """
    if "::" in text and not Path(text).exists():
        return _parse_stored(text)
    moment = _MOMENT.fullmatch(text)
    if moment and not locate(text).exists():
        return Moment(locate(moment["path"]), float(moment["seconds"]))
    return locate(text)


def parse_driving(text: str) -> Path | Camera | Stored:
    """A file or folder, the number of a camera, or `DATASET::identity/video/clip[/track]`.

    A file of that very name comes first. Raises PipelineError for a text with `::` that is no part of a dataset.
    """
    if "::" in text and not Path(text).exists():
        stored = _parse_stored(text)
        if stored.frame is not None:
            raise PipelineError(f"{text}: one frame of a dataset does not drive; leave out @{stored.frame}")
        return stored
    return Camera(int(text)) if re.fullmatch("[0-9]{1,3}", text) and not Path(text).exists() else locate(text)


def _parse_stored(text: str) -> Stored:
    """Names are as in the keys of samples (`pipeline.keys`), or as they are where that is unambiguous."""
    folder, _, place = text.partition("::")
    place, _, frame = place.partition("@")
    names = place.split("/")
    if not folder or len(names) not in (3, 4) or not all(names) or not all(map(_is_number, [*names[3:], frame or "0"])):
        raise PipelineError(f"{text}: a part of a dataset is named DATASET::identity/video/clip[/track][@frame]")
    identity, video, clip = map(unescape, names[:3])
    track = int(names[3]) if len(names) == 4 else None
    return Stored(locate(folder), identity, video, clip, track, int(frame) if frame else None)


def _is_number(text: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", text) is not None

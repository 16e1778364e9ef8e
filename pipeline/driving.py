"""Drivers: whatever moves, read once as a performance, and its pictures once more for people to compare with.

A video is tracked and fitted piece by piece, so that an hour needs no more memory than a minute but for the
performance itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.codes import Codes
from fit_deca.flame import Flame
from pipeline.addresses import Camera, Stored, parse_driving
from pipeline.clips import read_clip
from pipeline.crop import Window, cut_window
from pipeline.dataset import Dataset, open_dataset
from pipeline.edit_file import SUFFIX, read_performance
from pipeline.encode import TICK
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.fit import FitTrack
from pipeline.fit_pieces import FitPieces
from pipeline.ledger import ManifestRow
from pipeline.media import kind_of
from pipeline.performance import Performance
from pipeline.records import Clip, Kind
from pipeline.render import meshes
from pipeline.shaded import draw_shaded
from pipeline.shards import FaceModelStamp
from pipeline.sources import clip_of
from pipeline.storage import locate
from pipeline.stored import stored_tracks
from pipeline.tracks import FindTracks
from pipeline.video import time_unit

OnMissing = Literal["hold", "skip", "stop"]
"""What becomes of frames without a face: they show the one before, are left out, or end the work with an error."""
_DRAWN_AT_ONCE = 16


class Pictures(Protocol):
    """The driver's own pictures, for people to compare with."""

    def __call__(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """Yields one (size, size, 3) uint8 RGB a frame of the driver, framed as its performance is."""


class Shown(NamedTuple):
    """M of a driver's frames, by number, and the row of its takes that each shows."""

    frames: NDArray[np.int64]
    rows: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Driving:
    """A driver of N frames.

    takes: what its faces do where there is one, a performance a track, in order. times: (N,) float64 seconds of all
    frames. rows: (N,) int64, each frame's row of the takes laid end to end; -1 where it has no face.
    film: the video in which its times are counted in ticks of `tick` seconds, and whose sound goes with it; None for
    other drivers. fault: damage that ended it early, if any.
    """

    name: str
    takes: list[Performance]
    times: NDArray[np.float64]
    rows: NDArray[np.int64]
    pictures: Pictures
    film: Path | None = None
    tick: Fraction = TICK
    fault: InputError | None = None

    def __len__(self) -> int:
        return len(self.times)

    def shown(self, on_missing: OnMissing) -> Shown:
        """The frames that are shown. Those before the first face hold the first one.

        Raises InputError (no_face) for `stop` and a frame without a face.
        """
        if on_missing not in get_args(OnMissing):
            raise ValueError(f"on_missing must be one of {', '.join(get_args(OnMissing))}, got {on_missing!r}")
        seen = np.flatnonzero(self.rows >= 0)
        if on_missing == "stop" and len(seen) < len(self):
            first = int(np.flatnonzero(self.rows < 0)[0])
            problem = f"no face at {self.times[first]:.2f} s (frame {first}); --on-missing hold or skip goes on"
            raise InputError(Reason.NO_FACE, f"{self.name}: {problem}")
        if on_missing == "skip":
            return Shown(seen, self.rows[seen])
        held = np.searchsorted(seen, np.arange(len(self)), side="right") - 1
        return Shown(np.arange(len(self)), self.rows[seen[held.clip(0)]])


def read_driving(name: str, find_tracks: FindTracks, fit_track: FitTrack, size: int) -> Driving:
    """Read a driver; see `parse_driving` for its names, besides files of codes and folders of pictures.

    size: side in pixels of the square around the face to which its performance refers.
    Raises InputError where it cannot be read or has no usable face, PipelineError for codes of another face model and
    for a camera, which is to be recorded first.
    """
    driving = parse_driving(name)
    stamp = FaceModelStamp.of(fit_track.face_model)
    if isinstance(driving, Stored):
        dataset = open_dataset(driving.dataset, stamp)
        return stored_driving(dataset, stored_tracks(dataset, driving), size)
    if isinstance(driving, Camera):
        raise PipelineError(f"{name}: a camera; name a file, or one is to be recorded first")
    if driving.suffix.lower() == SUFFIX:
        return _saved_driving(name, read_performance(driving, stamp), fit_track.flame, size)
    return _filmed_driving(name, _clip(driving), find_tracks, fit_track, size)


def _clip(path: Path) -> Clip:
    """The clip at a path; any folder of pictures is one."""
    clip = clip_of(path)
    return replace(clip, kind=Kind.FRAMES) if path.is_dir() and kind_of(path) is None else clip


def _filmed_driving(name: str, clip: Clip, find_tracks: FindTracks, fit_track: FitTrack, size: int) -> Driving:
    fitted = FitPieces(find_tracks, fit_track, size)(clip)
    rows = np.full(len(fitted.times), -1)
    seen = np.concatenate([take.frames for take in fitted.takes])
    rows[seen] = np.arange(len(seen))
    starts = [int(take.frames[0]) for take in fitted.takes]
    return Driving(
        name=name,
        takes=[take.performance for take in fitted.takes],
        times=fitted.times,
        rows=rows,
        pictures=_Filmed(clip, len(rows), starts, [take.window for take in fitted.takes]),
        film=locate(clip.path) if clip.kind == Kind.VIDEO else None,
        tick=time_unit(clip.path) if clip.kind == Kind.VIDEO else TICK,
        fault=fitted.fault,
    )


@dataclass(frozen=True)
class _Filmed:
    """Pictures of a clip's frames, decoded anew. windows: of its tracks, each from the frame on where one starts."""

    clip: Clip
    count: int
    starts: list[int]
    windows: list[Window]

    def __call__(self, size: int) -> Iterator[NDArray[np.uint8]]:
        for number, frame in enumerate(islice(read_clip(self.clip), self.count)):
            track = max(bisect_right(self.starts, number) - 1, 0)
            yield cut_window(frame.image, self.windows[track], size)


def stored_driving(dataset: Dataset, tracks: Sequence[ManifestRow], size: int) -> Driving:
    """Tracks of one clip of a dataset, in order. Frames between them or missing in them count as without a face.

    Raises PipelineError for tracks that overlap in time.
    """
    dataset.require("codes")
    name = f"{dataset.folder}::{tracks[0].identity}/{tracks[0].video}/{tracks[0].clip}"
    numbers = np.concatenate([track.numbers for track in tracks])
    if (np.diff(numbers) <= 0).any():
        raise PipelineError(f"{name}: its tracks overlap in time; name one of them")
    takes = [_stored_take(dataset, track, size) for track in tracks]
    every = np.arange(numbers[0], numbers[-1] + 1)
    rows = np.full(len(every), -1)
    rows[numbers - numbers[0]] = np.arange(len(numbers))
    times = np.interp(every, numbers, np.concatenate([take.times for take in takes]))
    return Driving(name=name, takes=takes, times=times, rows=rows, pictures=_Stored(dataset, list(tracks)))


def _stored_take(dataset: Dataset, track: ManifestRow, size: int) -> Performance:
    parts = []
    for index in range(track.frames):
        sample = dataset.read_sample(track, index)
        part = Performance(
            times=np.array([sample.time]),
            codes=Codes.from_flat(torch.from_numpy(sample.codes[None])),
            recover=sample.recover[None],
            size=sample.image.shape[1],
            face_model=dataset.face_model,
        )
        parts.append(part.resized(size))
    return Performance.joined(parts)


@dataclass(frozen=True)
class _Stored:
    """Pictures of a dataset's tracks; black where a frame has none."""

    dataset: Dataset
    tracks: list[ManifestRow]

    def __call__(self, size: int) -> Iterator[NDArray[np.uint8]]:
        due = self.tracks[0].numbers[0]
        for track in self.tracks:
            for index, number in enumerate(track.numbers):
                yield from [np.zeros((size, size, 3), np.uint8)] * (number - due)
                image = self.dataset.read_sample(track, index).image
                yield cut_window(image, Window(0, 0, image.shape[1]), size)
                due = number + 1


def _saved_driving(name: str, performance: Performance, flame: Flame, size: int) -> Driving:
    count = len(performance)
    return Driving(
        name=name,
        takes=[performance.resized(size)],
        times=performance.times,
        rows=np.arange(count),
        pictures=_Drawn(performance, flame),
    )


@dataclass(frozen=True)
class _Drawn:
    """Pictures of a performance that has none of its own: its meshes, shaded."""

    performance: Performance
    flame: Flame

    def __call__(self, size: int) -> Iterator[NDArray[np.uint8]]:
        performance = self.performance.resized(size)
        for start in range(0, len(performance), _DRAWN_AT_ONCE):
            vertices = meshes(self.flame, performance.rows(slice(start, start + _DRAWN_AT_ONCE)))
            yield from draw_shaded(vertices, self.flame.faces, size, size)

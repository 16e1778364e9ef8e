"""The face that is animated: found in a picture, a moment of a video or a dataset, and fitted once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.addresses import Moment, Stored, parse_source
from pipeline.crop import Window, crop_track, cut_window, track_window, transform_points, window_transform
from pipeline.dataset import open_dataset
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.fit import FitTrack
from pipeline.media import kind_of
from pipeline.pictures import read_picture
from pipeline.records import Frame, Kind
from pipeline.render import Take
from pipeline.shards import FaceModelStamp
from pipeline.sources import clip_of
from pipeline.stored import stored_tracks
from pipeline.tracks import FindTracks
from pipeline.video import frame_times, probe, read_frames

_ROUNDING = 1e-6  # seconds; times that a person types end after a few digits


@dataclass(frozen=True, kw_only=True, eq=False)
class Portrait:
    """A face to animate.

    name: as the user named it. picture: (H, W, 3) uint8 RGB, the whole of it. window: the square of it that the take,
    one frame, shows.
    """

    name: str
    picture: NDArray[np.uint8]
    window: Window
    take: Take

    def framed(self, zoom: float) -> Portrait:
        """The same face in a square that is so many times as wide, and the face in its place of it.

        The square is no wider than the picture, but where it was so before.
        """
        side = max(min(round(zoom * self.window.side), max(self.picture.shape[:2])), self.window.side)
        if side == self.window.side:
            return self
        growth = side - self.window.side
        window = Window(self.window.left - round(growth / 2), self.window.top - round(growth * 3 / 5), side)
        size, take = self.take.size, self.take
        change = window_transform(window, size) @ np.linalg.inv(window_transform(self.window, size))
        moved = replace(
            take,
            images=cut_window(self.picture, window, size)[None],
            recover=change @ take.recover,
            vertices=transform_points(take.vertices, change).astype(np.float32),
        )
        return replace(self, window=window, take=moved)


def read_portrait(name: str, find_tracks: FindTracks, fit_track: FitTrack, size: int) -> Portrait:
    """The largest face of a source; see `parse_source` for its names. size: side of the take's picture in pixels.

    Raises InputError where the file cannot be read or shows no usable face, PipelineError for what is no source, and
    for a dataset of another face model.
    """
    source = parse_source(name)
    if isinstance(source, Stored):
        return _stored_portrait(name, source, fit_track, size)
    picture = _picture_at(source) if isinstance(source, Moment) else _still(source)
    return fit_portrait(name, picture, find_tracks, fit_track, size)


def fit_portrait(
    name: str, picture: NDArray[np.uint8], find_tracks: FindTracks, fit_track: FitTrack, size: int
) -> Portrait:
    """The largest face of an (H, W, 3) RGB picture, cut out of it as its track's pictures are, and fitted.

    Raises InputError: no_face, face_too_small, face_rolled.
    """
    track = find_tracks.still(clip_of(name), picture)
    window = track_window(track.landmarks)
    frames = [Frame(number=0, time=0.0, image=picture)]
    crops = crop_track(track, frames, size, window, encoder=fit_track.sees_pictures)
    return Portrait(name=name, picture=picture, window=window, take=Take.of_fit(track, crops, fit_track(track, crops)))


def _still(path: Path) -> NDArray[np.uint8]:
    if path.is_file() and kind_of(path) == Kind.VIDEO:
        raise PipelineError(f"{path}: a video as source; name its moment, as in {path}@1.5s")
    return read_picture(path)


def _picture_at(moment: Moment) -> NDArray[np.uint8]:
    path, seconds = moment
    duration = probe(path).duration
    if seconds > duration:
        raise InputError(Reason.TRUNCATED, f"{path}: ends at {duration:.2f} s, before {seconds:g} s")
    times = frame_times(path)
    number = int(np.searchsorted(times - times[0], seconds + _ROUNDING, side="right")) - 1
    return next(read_frames(path, first=number)).image


def _stored_portrait(name: str, stored: Stored, fit_track: FitTrack, size: int) -> Portrait:
    dataset = open_dataset(stored.dataset, FaceModelStamp.of(fit_track.face_model))
    row = stored_tracks(dataset, stored)[0]
    if stored.frame is not None and stored.frame not in row.numbers:
        raise PipelineError(
            f"{name}: no frame {stored.frame} in this track; it has {row.numbers[0]} to {row.numbers[-1]}"
        )
    dataset.require("codes")
    sample = dataset.read_sample(row, row.numbers.index(stored.frame) if stored.frame is not None else 0)
    window = Window(0, 0, sample.image.shape[1])
    take = Take.of_samples([sample], fit_track.flame).resized(size)
    return Portrait(name=name, picture=sample.image, window=window, take=take)

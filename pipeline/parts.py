"""The two stages of preprocessing between a clip and its part of a dataset: its tracks, then each track's samples.

Between them goes what is small: landmarks, not pictures. Both decode for themselves, in processes of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.clips import at_rate, timed_by_number
from pipeline.crop import CropConfig, CropTrack
from pipeline.decoder import Decoder
from pipeline.errors import InputError
from pipeline.fit import FitConfig, FitTrack
from pipeline.jitter import jitter_px
from pipeline.keys import track_prefix
from pipeline.ledger import ManifestRow
from pipeline.pieces import file_name
from pipeline.records import Clip, Fit, Frame, Track
from pipeline.shards import Array, FaceModelStamp, samples_of, write_part
from pipeline.split import SplitConfig, split_of
from pipeline.tracks import FindTracks, TrackConfig

PARTS = ".parts"


@dataclass(frozen=True, kw_only=True)
class ReadConfig:
    """How clips are read.

    fps: frames a second of which samples are made; None for all. assume_fps: what a second is in frames, where the
    files' own time stamps are wrong. max_frames: of a clip. timeout: seconds for the decoder to give the next pictures.
    """

    fps: float | None = None
    assume_fps: float | None = None
    max_frames: int | None = None
    timeout: float = 60.0

    def __post_init__(self) -> None:
        for name in ("fps", "assume_fps", "max_frames", "timeout"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass(frozen=True, kw_only=True)
class TrackClipConfig:
    tracks: TrackConfig
    read: ReadConfig


class Tracked(NamedTuple):
    """What tracking made of a clip, ahead of its tracks, whose number it tells. frames: how many were read."""

    tracks: int
    frames: int
    fault: InputError | None
    seconds: float


class TrackClip:
    """Clip -> `Tracked`, then its tracks. Close it: it holds a process and MediaPipe's threads."""

    def __init__(self, config: TrackClipConfig) -> None:
        self._config = config.read
        self._decode = Decoder(config.read.timeout)
        self._find_tracks = FindTracks(config.tracks, self._read)

    def __call__(self, clip: Clip) -> Iterator[Tracked | Track]:
        start = time.perf_counter()
        try:
            tracks, frames, fault = self._find_tracks(clip)
        except InputError as error:
            tracks, frames, fault = [], 0, error
        yield Tracked(len(tracks), frames, fault, time.perf_counter() - start)
        yield from tracks

    def _read(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        frames = self._decode(clip, first)
        if self._config.assume_fps:
            frames = timed_by_number(frames, self._config.assume_fps)
        if self._config.fps:
            frames = at_rate(frames, self._config.fps)
        return islice(frames, self._config.max_frames)

    def close(self) -> None:
        self._find_tracks.close()
        self._decode.close()


@dataclass(frozen=True, kw_only=True)
class WriteTrackConfig:
    """store: what is kept of a frame beside its picture. out: the dataset's folder."""

    crop: CropConfig
    fit: FitConfig
    split: SplitConfig
    store: tuple[Array, ...]
    timeout: float
    out: Path


class TrackPart(NamedTuple):
    """A track whose samples are written. row: of the manifest, with offsets in the part, and no shard yet.

    seconds: of work. All of it is as JSON holds it.
    """

    file: str
    row: dict[str, Any]
    seconds: float

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.row["offsets"][-1])


class WriteTrack:
    """Track -> `TrackPart`: cropped, fitted, encoded and written. `Tracked` goes through as it is.

    Close it: it holds a process.
    """

    def __init__(self, config: WriteTrackConfig) -> None:
        self._config = config
        self._fit_track = FitTrack(config.fit)
        self._decode = Decoder(config.timeout)
        self._crop_track = CropTrack(config.crop, self._decode)
        self._stamp = FaceModelStamp.of(self._fit_track.face_model)

    def __call__(self, value: Tracked | Track) -> Tracked | TrackPart | InputError:
        if isinstance(value, Tracked):
            return value
        try:
            return self._write(value)
        except InputError as error:
            return error

    def _write(self, track: Track) -> TrackPart:
        start = time.perf_counter()
        clip = track.clip
        crops = self._crop_track(track)
        fit = self._fit_track(track, crops)
        file = file_name(track_prefix(clip.identity, clip.video, clip.clip, track.index), ".tar")
        samples = samples_of(track, crops, fit, self._config.store)
        offsets = write_part(self._config.out / PARTS / file, samples, self._stamp)
        row = asdict(_row(track, fit, offsets, self._config.split))
        return TrackPart(file, row, time.perf_counter() - start)

    def close(self) -> None:
        self._decode.close()


def _row(track: Track, fit: Fit, offsets: list[int], split: SplitConfig) -> ManifestRow:
    median, p95 = np.quantile(fit.error_px, [0.5, 0.95])
    return ManifestRow(
        identity=track.clip.identity,
        video=track.clip.video,
        clip=track.clip.clip,
        track=track.index,
        frames=len(track),
        shard="",
        error_median_px=float(median),
        error_p95_px=float(p95),
        jitter_px=jitter_px(fit.vertices, track.numbers),
        split=track.clip.split or split_of(track.clip.identity, split),
        numbers=track.numbers.tolist(),
        offsets=offsets,
    )

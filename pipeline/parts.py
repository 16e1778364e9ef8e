"""The stage of preprocessing between a clip and its parts of a dataset: tracked, cropped, fitted, written.

All of it happens in one worker: between tracking and cropping lie pictures, which are decoded once and not sent around.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.atomic import why_not_written
from pipeline.clips import at_rate, timed_by_number
from pipeline.crop import CropConfig, CropTrack
from pipeline.decoder import Decoder
from pipeline.errors import InputError, PipelineError
from pipeline.fit import FitConfig, FitTrack
from pipeline.jitter import jitter_px
from pipeline.keys import track_prefix
from pipeline.ledger import ManifestRow
from pipeline.pieces import file_name
from pipeline.records import Clip, Fit, Frame, Track
from pipeline.replay import Replay
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
class WriteClipConfig:
    """store: what is kept of a frame beside its picture. out: the dataset's folder."""

    read: ReadConfig
    tracks: TrackConfig
    crop: CropConfig
    fit: FitConfig
    split: SplitConfig
    store: tuple[Array, ...]
    out: Path


class TrackPart(NamedTuple):
    """A track whose samples are written. row: of the manifest, with offsets in the part, and no shard yet.

    All of it is as JSON holds it.
    """

    file: str
    row: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self.row["offsets"][-1])


class WrittenClip(NamedTuple):
    """What a clip has become. parts: one a track, in order, or none. read: how many frames were read.

    fault: why there are no parts, or what ended the clip early. seconds: of work; tracking: of them on decoding and
    tracking.
    """

    parts: list[TrackPart]
    read: int
    fault: InputError | None
    seconds: float
    tracking: float

    @property
    def frames(self) -> int:
        """How many are in tracks."""
        return sum(part.row["frames"] for part in self.parts)


class WriteClip:
    """Clip -> `WrittenClip`. Close it: it holds a process and MediaPipe's threads."""

    def __init__(self, config: WriteClipConfig) -> None:
        self._config = config
        self._decode = Decoder(config.read.timeout)
        self._replay = Replay(self._decode)
        self._find_tracks = FindTracks(config.tracks, self._read)
        self._crop_track = CropTrack(config.crop, self._replay)
        self._fit_track = FitTrack(config.fit)
        self._stamp = FaceModelStamp.of(self._fit_track.face_model)

    def __call__(self, clip: Clip) -> WrittenClip:
        start = time.perf_counter()
        self._replay.forget()
        parts: list[TrackPart] = []
        try:
            tracks, read, fault = self._find_tracks(clip)
        except InputError as error:
            tracks, read, fault = [], 0, error
        tracked = time.perf_counter()
        try:
            parts = [self._write(track) for track in tracks]
        except InputError as error:
            fault = error
        except PipelineError as error:
            fault = InputError(why_not_written(error), str(error))
        return WrittenClip(parts, read, fault, seconds=time.perf_counter() - start, tracking=tracked - start)

    def _read(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        frames = self._replay(clip, first)
        if self._config.read.assume_fps:
            frames = timed_by_number(frames, self._config.read.assume_fps)
        if self._config.read.fps:
            frames = at_rate(frames, self._config.read.fps)
        return islice(frames, self._config.read.max_frames)

    def _write(self, track: Track) -> TrackPart:
        crops = self._crop_track(track)
        fit = self._fit_track(track, crops)
        clip = track.clip
        file = file_name(track_prefix(clip.identity, clip.video, clip.clip, track.index), ".tar")
        samples = samples_of(track, crops, fit, self._config.store)
        offsets = write_part(self._config.out / PARTS / file, samples, self._stamp)
        return TrackPart(file, asdict(_row(track, fit, offsets, self._config.split)))

    def close(self) -> None:
        self._find_tracks.close()
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

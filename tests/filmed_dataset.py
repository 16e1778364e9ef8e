"""A small dataset out of real footage: two stretches of one video under two names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from shard_writer import write_shards

from pipeline.crop import crop_track
from pipeline.dataset import write_description
from pipeline.fit import FitConfig, FitTrack
from pipeline.ledger import ManifestRow, write_manifest
from pipeline.records import Clip, Frame, Kind
from pipeline.shards import ARRAYS, Array, FaceModelStamp, samples_of
from pipeline.tracks import FindTracks, TrackConfig
from pipeline.video import read_frames

STRETCHES = {"ann": 36, "bob": 60}
"""Who, and from which frame on."""


def write_filmed_dataset(
    folder: Path, video: Path, *, frames: int = 8, size: int = 128, store: Sequence[Array] = ARRAYS
) -> Path:
    """Everybody is in the part test. frames: of each, every second one of the video. Returns `folder`."""
    fit_track = FitTrack(FitConfig())
    stamp = FaceModelStamp.of(fit_track.face_model)
    images = [frame.image for frame in islice(read_frames(video), 100)]
    folder.mkdir(parents=True)
    rows, samples = [], []
    for who, first in STRETCHES.items():
        stretch = [Frame(number=i, time=i / 12.5, image=images[first + 2 * i]) for i in range(frames)]
        clip = Clip(path="stretch", identity=who, video="video", clip="clip", kind=Kind.FRAMES)
        with FindTracks(TrackConfig(), _Stretch(stretch)) as find_tracks:
            (track,) = find_tracks(clip).tracks
        crops = crop_track(track, stretch, size)
        fit = fit_track(track, crops)
        samples.append(list(samples_of(track, crops, fit, store)))
        row = ManifestRow(
            identity=who,
            video="video",
            clip="clip",
            track=0,
            frames=len(track),
            shard="",
            error_median_px=float(np.median(fit.error_px)),
            error_p95_px=float(np.quantile(fit.error_px, 0.95)),
            jitter_px=0.0,
            split="test",
            numbers=track.numbers.tolist(),
            offsets=[],
        )
        rows.append(row)
    places = write_shards(folder, samples, stamp)
    rows = [replace(row, shard=shard, offsets=offsets) for row, (shard, offsets) in zip(rows, places, strict=True)]
    write_manifest(rows, folder)
    write_description(folder, stamp, {"crop": {"size": size}, "store": list(store)})
    return folder


@dataclass(frozen=True)
class _Stretch:
    """Reads the same frames for any clip."""

    frames: list[Frame]

    def __call__(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        return iter(self.frames[first:])

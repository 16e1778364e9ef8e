"""Videos -> a dataset: tracks, crops, fits, shards, manifest and ledger."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from jobs.outputs import new_folder
from pipeline.crop import CropConfig, CropTrack
from pipeline.dataset import write_description
from pipeline.errors import Fault, InputError, PipelineError
from pipeline.fit import FitConfig, FitTrack
from pipeline.ledger import LEDGER, LedgerRow, ManifestRow, Status, write_ledger, write_manifest
from pipeline.records import Clip, Fit, Track
from pipeline.shards import FaceModelStamp, ShardWriter, samples_of
from pipeline.sources import scan
from pipeline.tracks import FindTracks, TrackConfig


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """input: a video or a folder of them. out: a folder, new or empty. shard_bytes: size at which a shard is full."""

    input: Path
    out: Path
    tracks: TrackConfig = field(default_factory=TrackConfig)
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    shard_bytes: int = 1_000_000_000

    def stored(self) -> dict[str, Any]:
        """What of it decides what the dataset holds."""
        return {
            "tracks": asdict(self.tracks),
            "crop": asdict(self.crop),
            "landmarks": asdict(self.fit.landmarks),
            "shard_bytes": self.shard_bytes,
        }


def run(config: PreprocessConfig) -> str:
    """Write the dataset. Returns a summary for people.

    Raises PipelineError if no input gave a track (the ledger then says why), or the output cannot be written.
    """
    found = scan(config.input)
    fit_track = FitTrack(config.fit)
    new_folder(config.out)
    face_model = FaceModelStamp.of(fit_track.face_model)
    with (
        FindTracks(config.tracks) as find_tracks,
        ShardWriter(config.out, face_model, config.shard_bytes) as shards,
    ):
        graph = _Graph(find_tracks, CropTrack(config.crop), fit_track, shards)
        ledger = [_left_out(fault) for fault in found.faults]
        ledger += [graph(clip) for clip in tqdm(found.clips, unit="clip", disable=None)]
    write_manifest(graph.manifest, config.out)
    write_ledger(ledger, config.out)
    write_description(config.out, face_model, config.stored())
    return _summary(config.out, ledger)


class _Graph:
    """The stages in a row: clip -> tracks -> crops -> fit -> samples in a shard."""

    def __init__(
        self, find_tracks: FindTracks, crop_track: CropTrack, fit_track: FitTrack, shards: ShardWriter
    ) -> None:
        self.find_tracks, self.crop_track, self.fit_track, self.shards = find_tracks, crop_track, fit_track, shards
        self.manifest: list[ManifestRow] = []

    def __call__(self, clip: Clip) -> LedgerRow:
        start, known = time.perf_counter(), len(self.manifest)
        try:
            tracked = self.find_tracks(clip)
            for track in tracked.tracks:
                crops = self.crop_track(track)
                fit = self.fit_track(track, crops)
                shard, offsets = self.shards.write_track(samples_of(track, crops, fit))
                self.manifest.append(_manifest_row(track, fit, shard, offsets))
            fault = tracked.fault
        except InputError as error:
            fault = error
        rows = self.manifest[known:]
        frames = sum(row.frames for row in rows)
        return LedgerRow.of(clip.path, fault, tracks=len(rows), frames=frames, seconds=time.perf_counter() - start)


def _left_out(fault: Fault) -> LedgerRow:
    return LedgerRow.of(fault.path, InputError(fault.reason, str(fault)), tracks=0, frames=0, seconds=0.0)


def _manifest_row(track: Track, fit: Fit, shard: str, offsets: list[int]) -> ManifestRow:
    accelerations = np.diff(fit.vertices[..., :2], n=2, axis=0)
    median, p95 = np.quantile(fit.error_px, [0.5, 0.95])
    return ManifestRow(
        identity=track.clip.identity,
        video=track.clip.video,
        clip=track.clip.clip,
        track=track.index,
        frames=len(track),
        shard=shard,
        error_median_px=float(median),
        error_p95_px=float(p95),
        jitter_px=float(np.linalg.norm(accelerations, axis=2).mean()) if len(accelerations) else 0.0,
        split=track.clip.split or "train",
        numbers=track.numbers.tolist(),
        offsets=offsets,
    )


def _summary(out: Path, ledger: list[LedgerRow]) -> str:
    rejected = [row for row in ledger if row.status != Status.DONE]
    if len(rejected) == len(ledger):
        why = rejected[0].message if len(ledger) == 1 else f"none of {len(ledger)} inputs gave a track"
        raise PipelineError(f"{why} (see {out / LEDGER})")
    tracks, frames = sum(row.tracks for row in ledger), sum(row.frames for row in ledger)
    text = f"{out}: {_count(frames, 'frame')} in {_count(tracks, 'track')} of {_count(len(ledger), 'input')}"
    return f"{text}, {len(rejected)} rejected" + (f" (see {out / LEDGER})" if rejected else "")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"

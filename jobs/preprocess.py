"""Videos -> a dataset: scan, plan, then tracks and samples on Ray, parts, shards, manifest and ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from jobs.cluster import cluster
from jobs.outputs import resumed_folder
from jobs.ray_stage import Failed, FailureLimit, RayStage, TooManyFailedError, run_stages
from pipeline.assembly import Assembly
from pipeline.card import write_card
from pipeline.crop import CropConfig
from pipeline.dataset import write_description
from pipeline.errors import InputError, PipelineError
from pipeline.fit import FitConfig, FitTrack
from pipeline.inspection import inspect_dataset
from pipeline.layouts import Layout
from pipeline.ledger import LEDGER, LedgerRow, Status, write_ledger, write_manifest
from pipeline.parts import ReadConfig, TrackClip, TrackClipConfig, Tracked, TrackPart, WriteTrack, WriteTrackConfig
from pipeline.plan import ClipResult, Plan
from pipeline.records import Clip
from pipeline.report import write_report
from pipeline.shards import ARRAYS, Array, FaceModelStamp
from pipeline.sources import scan
from pipeline.split import SplitConfig
from pipeline.tracks import TrackConfig


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """input, layout, metadata: as `scan` reads them. out: a folder, new or one that the same options have begun.

    store: what is kept of a frame beside its picture. shard_bytes: size at which a shard is full. workers: of each
    stage; None is one a core. address: of a Ray cluster that runs; None starts Ray here. max_failed: failures that are
    accepted; None for any number. retry: do again what failed before.
    """

    input: Path
    out: Path
    layout: Layout = "auto"
    metadata: Path | None = None
    read: ReadConfig = field(default_factory=ReadConfig)
    tracks: TrackConfig = field(default_factory=TrackConfig)
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    store: tuple[Array, ...] = ARRAYS
    shard_bytes: int = 1_000_000_000
    workers: int | None = None
    address: str | None = None
    max_failed: int | None = None
    retry: Literal["failed"] | None = None

    def __post_init__(self) -> None:
        if not self.store or self.store != tuple(name for name in ARRAYS if name in self.store):
            raise ValueError(f"store must be some of {', '.join(ARRAYS)}, in that order, got {self.store}")

    def stored(self) -> dict[str, Any]:
        """What of it decides what the dataset holds."""
        read = {name: value for name, value in asdict(self.read).items() if name != "timeout"}
        return {
            "read": read,
            "tracks": asdict(self.tracks),
            "crop": asdict(self.crop),
            "fit": self.fit.stored(),
            "split": asdict(self.split),
            "store": list(self.store),
            "shard_bytes": self.shard_bytes,
        }


def run(config: PreprocessConfig) -> str:
    """Write the dataset, or what is missing of it. Returns a summary for people.

    Raises MisuseError if `out` holds something else, PipelineError if no input gave a track or more failed than
    accepted (the ledger then says why), or if the output cannot be written.
    """
    plan = Plan.of(scan(config.input, config.layout, config.metadata))
    fit_track = FitTrack(config.fit)
    config = replace(config, crop=replace(config.crop, encoder=fit_track.sees_pictures))
    face_model = FaceModelStamp.of(fit_track.face_model)
    pieces = resumed_folder(config.out, {**config.stored(), "face_model": face_model.hash})
    assembly = Assembly(pieces, plan, config.shard_bytes)
    if config.retry:
        assembly.forget([key for key, result in assembly.results.items() if result.row().status == Status.FAILED])
    try:
        _work(config, plan, assembly)
    except TooManyFailedError:
        write_ledger(plan.ledger(assembly.results), config.out)
        raise
    assembly.finish()
    ledger = plan.ledger(assembly.results)
    write_manifest(assembly.manifest(), config.out)
    write_ledger(ledger, config.out)
    write_description(config.out, face_model, config.stored())
    inspection = inspect_dataset(config.out)
    write_report(inspection, fit_track.face_model.faces)
    write_card(inspection.dataset, ledger, str(config.input))
    return _summary(config.out, ledger)


def _work(config: PreprocessConfig, plan: Plan, assembly: Assembly) -> None:
    """Do what is missing. Raises TooManyFailedError past the limit."""
    missing = {key: clip for key, clip in plan.clips.items() if key not in assembly.results}
    assembly.note_run(clips=len(plan.clips), missing=len(missing))
    if not missing:
        return
    limit, start = FailureLimit(config.max_failed), time.monotonic()
    done = len(plan.clips) - len(missing)
    with (
        cluster(config.address, config.workers) as cpus,
        tqdm(total=len(plan.clips), initial=done, unit="clip", disable=None) as bar,
    ):
        frames = 0
        for key, result, parts in _results(missing, graph(config), config.workers or cpus):
            assembly.add(key, result, parts)
            frames += result.frames
            bar.set_postfix_str(f"{frames / (time.monotonic() - start):.0f} frames/s", refresh=False)
            bar.update()
            if result.row().status == Status.FAILED:
                limit.failed(result.message)


@contextmanager
def stages(config: PreprocessConfig) -> Iterator[tuple[TrackClip, WriteTrack]]:
    """The stages of `graph` in this process, for the length of the block."""
    track_clip, write_track = graph(config)
    with closing(TrackClip(track_clip.config)) as track, closing(WriteTrack(write_track.config)) as write:
        yield track, write


def graph(config: PreprocessConfig) -> list[RayStage]:
    """Clip -> its tracks -> a part for each track; decoding has a process beside each stage."""
    track = TrackClipConfig(tracks=config.tracks, read=config.read)
    write = WriteTrackConfig(
        crop=config.crop,
        fit=config.fit,
        split=config.split,
        store=config.store,
        timeout=config.read.timeout,
        out=config.out.absolute(),
    )
    on_gpu = config.fit.device.startswith("cuda") if config.fit.device else config.crop.encoder
    return [
        RayStage(stage=TrackClip, config=track, num_cpus=0.5),
        RayStage(stage=WriteTrack, config=write, num_cpus=0.25, num_gpus=0.25 if on_gpu else 0),
    ]


def _results(
    clips: dict[str, Clip], stages: list[RayStage], workers: int
) -> Iterator[tuple[str, ClipResult, list[TrackPart]]]:
    """What became of each clip, once all of its tracks have come through."""
    drafts: dict[str, _Draft] = {}
    given_up: set[str] = set()
    for key, value in run_stages(clips.items(), stages, workers=workers):
        if key in given_up:
            continue
        draft = drafts.setdefault(key, _Draft())
        draft.add(value)
        if isinstance(value, Failed):
            given_up.add(key)
        if draft.complete:
            del drafts[key]
            yield key, draft.result(clips[key]), draft.written()


class _Draft:
    """What is known of a clip."""

    def __init__(self) -> None:
        self._tracked: Tracked | None = None
        self._parts: list[TrackPart] = []
        self._faults: list[InputError] = []
        self._failed = False

    def add(self, value: Tracked | TrackPart | InputError | Failed) -> None:
        match value:
            case Failed(reason, message):
                self._faults.append(InputError(reason, message))
                self._failed = True
            case InputError():
                self._faults.append(value)
            case TrackPart():
                self._parts.append(value)
            case Tracked():
                self._tracked = value

    @property
    def complete(self) -> bool:
        tracks = self._tracked.tracks if self._tracked else None
        return self._failed or len(self._parts) + len(self._faults) == tracks

    def written(self) -> list[TrackPart]:
        """All parts in order; none where one of them is missing."""
        return [] if self._faults else sorted(self._parts, key=lambda part: part.row["track"])

    def result(self, clip: Clip) -> ClipResult:
        parts = self.written()
        fault = self._faults[0] if self._faults else self._tracked and self._tracked.fault
        tracking = self._tracked.seconds if self._tracked else 0.0
        seconds = tracking + sum(part.seconds for part in self._parts)
        frames = sum(part.row["frames"] for part in parts)
        return ClipResult.of(clip, fault, tracks=len(parts), frames=frames, seconds=seconds, tracking=tracking)


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

"""Videos -> a dataset: scan, plan, then clips become parts on Ray, and parts shards, manifest and ledger."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from jobs.cluster import cluster
from jobs.journal import Journal
from jobs.options import say_fitter
from jobs.outputs import refuse_full_disk, resumed_folder
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
from pipeline.parts import ReadConfig, TrackPart, WriteClip, WriteClipConfig, WrittenClip
from pipeline.plan import ClipResult, Plan, longest_first
from pipeline.records import Clip
from pipeline.report import write_report
from pipeline.shards import ARRAYS, Array, FaceModelStamp
from pipeline.sources import scan
from pipeline.split import SplitConfig
from pipeline.tracks import TrackConfig


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """input, layout, metadata: as `scan` reads them. out: a folder, new or one that the same options have begun.

    store: what is kept of a frame beside its picture. shard_bytes: size at which a shard is full. workers: at once;
    None is one a core, of nodes that join later too. address: of a Ray cluster that runs; None starts Ray here.
    max_failed: failures that are accepted; None for any number. retry: do again what failed before. log: file of the
    journal; None keeps none.
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
    log: Path | None = None

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
    journal = Journal(config.log)
    missing = {key: clip for key, clip in plan.clips.items() if key not in assembly.results}
    assembly.note_run(clips=len(plan.clips), missing=len(missing))
    if not missing:
        return
    say_fitter()
    limit, start = FailureLimit(config.max_failed), time.monotonic()
    done = len(plan.clips) - len(missing)
    with (
        journal.of("preprocess", out=str(config.out), clips=len(plan.clips), missing=len(missing)),
        cluster(config.address, config.workers),
        tqdm(total=len(plan.clips), initial=done, unit="clip", disable=None) as bar,
    ):
        frames, work = 0, stage(config)
        for key, value in run_stages(longest_first(missing), [work], workers=config.workers, run=journal.run):
            result, parts = _result(missing[key], value)
            refuse_full_disk(result.row())
            assembly.add(key, result, parts)
            journal.ended(work.stage.__name__, key, result.row())
            frames += result.frames
            bar.set_postfix_str(f"{frames / (time.monotonic() - start):.0f} frames/s", refresh=False)
            bar.update()
            if result.row().status == Status.FAILED:
                limit.failed(result.message)


def stage(config: PreprocessConfig) -> RayStage:
    """Clip -> its parts, in one worker, which keeps a core busy together with the process that decodes for it."""
    on_gpu = config.fit.device.startswith("cuda") if config.fit.device else config.crop.encoder
    return RayStage(stage=WriteClip, config=clip_config(config), num_cpus=1.0, num_gpus=0.25 if on_gpu else 0)


def clip_config(config: PreprocessConfig) -> WriteClipConfig:
    """Of the stage that does the work."""
    return WriteClipConfig(
        read=config.read,
        tracks=config.tracks,
        crop=config.crop,
        fit=config.fit,
        split=config.split,
        store=config.store,
        out=config.out.absolute(),
    )


def _result(clip: Clip, value: WrittenClip | Failed) -> tuple[ClipResult, list[TrackPart]]:
    """What became of a clip, as it is kept."""
    if isinstance(value, Failed):
        fault = InputError(value.reason, value.message)
        return ClipResult.of(clip, fault, tracks=0, frames=0, seconds=0.0), []
    counts = {"tracks": len(value.parts), "frames": value.frames}
    result = ClipResult.of(clip, value.fault, **counts, seconds=value.seconds, tracking=value.tracking)
    return result, value.parts


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

"""How much work a render is, before it is done: counted from its inputs, timed on a few of their frames."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.cluster import cores
from jobs.options import say_fitter
from jobs.render import RenderRunConfig
from pipeline.addresses import Camera, Stored, parse_driving
from pipeline.dataset import open_dataset
from pipeline.edit_file import SUFFIX, read_performance
from pipeline.errors import InputError, PipelineError
from pipeline.fit import FitTrack
from pipeline.media import PICTURE_SUFFIXES, file_kind, suffix_of
from pipeline.performance import Performance
from pipeline.records import Kind
from pipeline.render import Stage
from pipeline.render_plan import RenderJob
from pipeline.render_stages import Generate, Prepare, RenderConfig, View, Write
from pipeline.shards import FaceModelStamp
from pipeline.stored import stored_tracks
from pipeline.video import frame_times

TIMED = 48
"""Frames of which pictures are made and written for the estimate."""


WORK = ("decode and fit, once a driver", "generate", "write")


class Speed(NamedTuple):
    """Of one worker: seconds a frame to decode and fit, to generate, to write; and bytes a frame of the result."""

    prepare: float
    generate: float
    write: float
    bytes: float


def estimate(config: RenderRunConfig) -> str:
    """Jobs, frames, disk and time, for people. Nothing is written to the output.

    Raises PipelineError where no job has a source and a driver that can be used.
    """
    jobs = config.plan.jobs
    say_fitter()
    face_model = FaceModelStamp.of(FitTrack(config.render.fit).face_model)
    frames = {name: frames_of(name, face_model) for name in {job.driving for job in jobs}}
    total, to_prepare = sum(frames[job.driving] for job in jobs), sum(frames.values())
    speed = measure(config.render, sorted(jobs, key=lambda job: frames[job.driving] or total))
    cpus, gpus = config.cpus or cores(), torch.cuda.device_count() if config.render.model.checkpoint else 0
    on_cpus = to_prepare * speed.prepare + total * (speed.write + (0 if gpus else speed.generate))
    seconds = max(on_cpus / cpus, total * speed.generate / gpus if gpus else 0)
    where = f"{cpus} CPUs" + (f" and {gpus} GPUs" if gpus else "")
    apiece = (f"{1000 * took:.1f} ms to {what}" for took, what in zip(speed[:3], WORK, strict=True))
    lines = [
        f"jobs: {len(jobs):,}, and {len(config.plan.faults)} rows that are none",
        f"frames: {total:,}, of {len(frames):,} drivers with {to_prepare:,}",
        f"disk: about {total * speed.bytes / 1e6:,.0f} MB",
        f"time: about {_clock_text(seconds)} on {where} (a frame takes {', '.join(apiece)})",
    ]
    return "\n".join(lines)


def frames_of(driving: str, face_model: FaceModelStamp) -> int:
    """How many frames a driver shows, without decoding it; 0 where it cannot be read."""
    with suppress(PipelineError):
        place = parse_driving(driving)
        if isinstance(place, Stored):
            return sum(row.frames for row in stored_tracks(open_dataset(place.dataset), place))
        if isinstance(place, Camera):
            return 0
        if place.suffix.lower() == SUFFIX:
            return len(read_performance(place, face_model))
        if place.is_dir():
            return sum(suffix_of(name) in PICTURE_SUFFIXES for name in place.iterdir())
        return 1 if file_kind(place) == Kind.PICTURE else len(frame_times(place))
    return 0


def measure(config: RenderConfig, jobs: Sequence[RenderJob]) -> Speed:
    """Time the first of the jobs whose inputs can be used, on some of its frames."""
    device = "cuda" if config.model.checkpoint and torch.cuda.is_available() else "cpu"
    prepare, generate = Prepare(config), Generate(config, device)
    lack: InputError | None = None
    for job in jobs:
        try:
            portrait = prepare.source(job.source)
            start = time.perf_counter()
            driving = prepare.driving(job.driving)
        except InputError as error:
            lack = error
            continue
        prepared = (time.perf_counter() - start) / len(driving)
        shown = min(TIMED, len(driving))
        driving = replace(driving, times=driving.times[:shown], rows=driving.rows[:shown])
        clock = _Clock(generate)
        with tempfile.TemporaryDirectory() as folder:
            row = Write(config, Path(folder))(job, portrait, driving, clock)
        if not row.frames:
            raise PipelineError(row.message)
        written = max(row.seconds - clock.all, 0.0)
        return Speed(prepared, clock.warm / row.frames, written / row.frames, row.bytes / row.frames)
    raise PipelineError(f"no job has inputs that can be used: {lack.message if lack else 'there is no job'}")


class _Clock:
    """Pictures of a job, made twice. warm: seconds of the second time; all: of both."""

    def __init__(self, generate: Generate) -> None:
        self.generate, self.warm, self.all = generate, 0.0, 0.0

    def __call__(self, view: View, stage: Stage, performance: Performance) -> Iterator[NDArray[np.uint8]]:
        start = time.perf_counter()
        self.generate(view, lambda: stage, performance)  # loads and compiles what it needs
        again = time.perf_counter()
        results = self.generate(view, lambda: stage, performance)
        end = time.perf_counter()
        self.warm, self.all = end - again, end - start
        yield from results


def _clock_text(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"

"""`preprocess --dry-run`: what there is to do, and how long it would take, by doing a little of it."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from jobs.cluster import cores
from jobs.options import say_fitter
from jobs.preprocess import PreprocessConfig, clip_config
from pipeline.clips import count_frames
from pipeline.errors import InputError, PipelineError
from pipeline.parts import WriteClip
from pipeline.plan import Plan
from pipeline.sources import scan

_COUNTED = 50
"""Clips whose frames are counted; the others are taken to be like them."""
_WARM_UP = 3
_WARM_UP_FRAMES = 100


def estimate(config: PreprocessConfig) -> str:
    """Clips, frames, bytes and hours, a line each; nothing is written to `out`.

    Frames are counted in up to 50 clips; bytes and speed are those of up to 100 frames of some of them, worked out by
    one process. Raises PipelineError if none of these gave a track.
    """
    plan = Plan.of(scan(config.input, config.layout, config.metadata))
    say_fitter()
    clips = list(plan.clips.values())
    counted = clips[:: max(1, len(clips) // _COUNTED)]
    counts = []
    for clip in counted:
        try:
            counts.append(count_frames(clip))
        except InputError:
            counts.append(0)
    frames = round(sum(counts) / max(len(counts), 1) * len(clips))
    size, read, seconds = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        warm_up = replace(config, out=Path(folder), read=replace(config.read, max_frames=_WARM_UP_FRAMES))
        with closing(WriteClip(clip_config(warm_up))) as write_clip:
            for number, clip in enumerate([clips[0], *clips[:: max(1, len(clips) // _WARM_UP)]] if clips else []):
                written = write_clip(clip)
                if number == 0:
                    continue  # what loads and compiles
                seconds += written.seconds
                read += written.read
                size += sum(part.size for part in written.parts)
    if not size:
        raise PipelineError(f"{config.input}: none of the clips tried gave a track; nothing to estimate by")
    hours = frames * seconds / read / (config.workers or cores()) / 3600
    lines = [
        f"clips: {len(clips)}, and {len(plan.faults)} that the scan leaves out",
        f"frames: {frames}" + ("" if len(counted) == len(clips) else f", by {len(counted)} of the clips"),
        f"bytes: {frames / read * size / 1e9:.2f} GB",
        f"hours: {hours:.2f} with {config.workers or cores()} workers at {read / seconds:.0f} frames/s each",
    ]
    return "\n".join(lines)

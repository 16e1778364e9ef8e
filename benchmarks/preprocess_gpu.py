"""preprocess with DECA: MediaPipe tracks on the CPU cores, one process each, while DECA fits on one GPU.

    python benchmarks/preprocess_gpu.py --footage FOLDER [--workers 16] [--pin] [--max-frames N] [--repeat N]
    python benchmarks/preprocess_gpu.py --footage FOLDER --every 2 3 [--max-frames N]

The same stages as in `preprocess`, in a process pool and not under Ray: workers decode, track, crop and read what the
fit needs, longest clips first; this process fits, on the device, what they hand over. Weights are the recipe's and the
face model is the stand-in, both of FLAME's and DECA's size. Samples are not encoded nor written.

--every: instead, on the CPU: what tracking only every k-th frame costs in accuracy. The points in between are
interpolated, or carried by optical flow from the tracked frames on both sides, and compared with those of tracking
every frame, in pixels of a crop of 256.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers are one a core

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from deca_files import write_deca_files  # noqa: E402

from pipeline.clips import read_clip  # noqa: E402
from pipeline.crop import CropConfig, CropTrack, track_window, window_transform  # noqa: E402
from pipeline.errors import InputError  # noqa: E402
from pipeline.fit import FitConfig, FitTrack  # noqa: E402
from pipeline.fitters import CroppedTrack  # noqa: E402
from pipeline.plan import longest_first  # noqa: E402
from pipeline.records import Clip, Crops, EncoderCrops, Frame, Track  # noqa: E402
from pipeline.replay import Replay  # noqa: E402
from pipeline.sources import scan  # noqa: E402
from pipeline.threads import limit_threads  # noqa: E402
from pipeline.tracks import FindTracks, TrackConfig  # noqa: E402

SIZE = 256


class Done(NamedTuple):
    """What a worker made of a clip. track, crop: seconds of its processor; decoding is in the first of them, and again
    in the second for what `Replay` cannot keep."""

    tracks: list[CroppedTrack]
    frames: int
    track: float
    crop: float


class Stages(NamedTuple):
    """Of a worker."""

    replay: Replay
    find: FindTracks
    crop: CropTrack


_stages: Stages | None = None


def start_worker(most: int | None, core: Any = None) -> None:
    """most: frames of a clip that are read. core: counts the workers, each of which then keeps to a core of its own."""
    global _stages
    limit_threads(1)
    if core is not None:
        with core:
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[core.value % len(cores)]})
            core.value += 1

    def read(clip: Clip, first: int = 0) -> Iterator[Frame]:
        return takewhile(lambda frame: most is None or frame.number < most, read_clip(clip, first))

    replay = Replay(read)
    crop = CropTrack(CropConfig(size=SIZE, encoder=True), replay)
    _stages = Stages(replay, FindTracks(TrackConfig(), replay), crop)


def track_and_crop(clip: Clip) -> Done:
    """The worker's part. A clip without a usable face gives nothing."""
    assert _stages is not None
    clock = [time.process_time()]
    _stages.replay.forget()
    try:
        tracks = _stages.find(clip).tracks
    except InputError:
        tracks = []
    clock.append(time.process_time())
    cropped = [CroppedTrack(track, for_deca(_stages.crop(track))) for track in tracks]
    clock.append(time.process_time())
    return Done(cropped, sum(map(len, tracks)), *np.diff(clock).tolist())


def for_deca(crops: Crops) -> Crops:
    """What the fit needs of them, as arrays that can be sent."""
    assert crops.encoder is not None
    encoder = EncoderCrops(np.array(crops.encoder.images), crops.encoder.transforms)
    return replace(crops, images=np.empty((len(encoder.images), 0, 0, 3), np.uint8), encoder=encoder)


def whole_pipeline(options: argparse.Namespace) -> None:
    """Prints frames a second and where the time goes."""
    clips = [clip for _, clip in longest_first({str(n): clip for n, clip in enumerate(scan(options.footage))})]
    clips = [clip for clip in clips for _ in range(options.repeat)]
    with tempfile.TemporaryDirectory() as folder:
        files = write_deca_files(Path(folder))
        os.environ["GDPW_ASSETS"] = folder
        config = FitConfig(
            fitter="deca",
            face_model=files.face_model,
            deca_model=files.deca_model,
            landmark_embedding=files.landmark_embedding,
            device=options.device,
        )
        fit = FitTrack(config)
        spawn = multiprocessing.get_context("spawn")
        start = (options.max_frames, spawn.Value("i", 0) if options.pin else None)
        pool = spawn.Pool(options.workers, start_worker, start)
        with pool:
            first = pool.map(track_and_crop, clips[-1:] * options.workers)  # workers and kernels are warm
            fit.several(first[0].tracks)
            report(options, fit, pool.imap_unordered(track_and_crop, clips))


def report(options: argparse.Namespace, fit: FitTrack, results: Iterator[Done]) -> None:
    start, fitting, frames, cpu = time.perf_counter(), 0.0, 0, np.zeros(2)
    for done in results:
        frames += done.frames
        cpu += [done.track, done.crop]
        if done.tracks:
            before = time.perf_counter()
            fit.several(done.tracks)  # ends with a copy to the host, so that the clock is right
            fitting += time.perf_counter() - before
    wall = time.perf_counter() - start
    name = torch.cuda.get_device_name() if "cuda" in options.device else options.device
    per_frame = 1e3 / max(frames, 1)
    track, crop = cpu * per_frame
    decode = decoding(scan(options.footage).clips[:3])
    print(f"{name}, {options.workers} workers, torch {torch.__version__}: {frames} frames in {wall:.1f} s")
    print(f"  {frames / wall:9.1f} frames/s")
    print(f"  {decode:9.2f} ms a frame of one core: decode, once, by itself in an idle process")
    print(f"  {track:9.2f} ms a frame of one core: decode and track")
    print(f"  {crop:9.2f} ms a frame of one core: crop")
    print(f"  {cpu.sum() / wall / options.workers:9.1%} of the workers' time they were at work")
    print(f"  {fitting * per_frame:9.2f} ms a frame: fit, to vertices in host memory")
    print(f"  {fitting / wall:9.1%} of the time the device's process was fitting")


def decoding(clips: list[Clip]) -> float:
    """Milliseconds a frame of this process."""
    start, frames = time.process_time(), 0
    for clip in clips:
        frames += sum(1 for _ in islice(read_clip(clip), 100))
    return (time.process_time() - start) / max(frames, 1) * 1e3


def sparse_tracking(options: argparse.Namespace) -> None:
    """Prints, for each step, how far points in between lie from those of tracking every frame."""
    print(
        f"{'clip':32} frames   " + "   ".join(f"every {k}: linear, cubic, flow (median/p95 px)" for k in options.every)
    )
    sums: dict[tuple[int, str], list[NDArray[np.float64]]] = {}
    start_worker(options.max_frames)
    assert _stages is not None
    for clip in scan(options.footage).clips:
        _stages.replay.forget()
        track = max(_stages.find(clip).tracks, key=len)
        scale = window_transform(track_window(track.landmarks), SIZE)[0, 0]
        points = track.landmarks[..., :2].astype(np.float64)
        grays = gray_frames(clip, track)
        cells = []
        for step in options.every:
            between = np.setdiff1d(np.arange(len(points)), np.arange(0, len(points), step))
            between = between[between < (len(points) - 1) // step * step]
            found = {kind: interpolated(points, track.times, step, kind) for kind in ("linear", "cubic")}
            found["flow"] = carried(points, grays, step)
            for kind, guess in found.items():
                errors = np.linalg.norm(guess[between] - points[between], axis=2) * scale
                sums.setdefault((step, kind), []).append(errors.ravel())
                cells.append(f"{np.median(errors):.2f}/{np.quantile(errors, 0.95):.2f}")
        print(f"{clip.clip:32} {len(points):6d}   {'  '.join(cells)}", flush=True)
    for (step, kind), errors in sums.items():
        together = np.concatenate(errors)
        within = (together <= 0.5).mean()
        print(
            f"every {step}, {kind}: median {np.median(together):.2f} px, p95 {np.quantile(together, 0.95):.2f} px,"
            f" mean {together.mean():.2f} px, {within:.0%} within 0.5 px"
        )


def interpolated(points: NDArray[np.float64], times: NDArray[np.float64], step: int, kind: str) -> NDArray[np.float64]:
    """The points, of which every `step`-th frame is known."""
    from scipy.interpolate import CubicSpline, make_interp_spline

    known = slice(0, None, step)
    if kind == "cubic" and len(times[known]) >= 4:
        return CubicSpline(times[known], points[known])(times)
    return make_interp_spline(times[known], points[known], k=1)(times)


def carried(points: NDArray[np.float64], grays: list[NDArray[np.uint8]], step: int) -> NDArray[np.float64]:
    """The points, carried by Lucas-Kanade flow from the known frames before and after, the nearer counting more."""
    result = points.copy()
    for before in range(0, len(points) - step, step):
        after = before + step
        forward, backward = [points[before]], [points[after]]
        for row in range(before, after - 1):
            forward.append(flow(grays[row], grays[row + 1], forward[-1]))
        for row in range(after, before + 1, -1):
            backward.append(flow(grays[row], grays[row - 1], backward[-1]))
        for offset in range(1, step):
            share = offset / step
            result[before + offset] = (1 - share) * forward[offset] + share * backward[step - offset]
    return result


def flow(one: NDArray[np.uint8], other: NDArray[np.uint8], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where points of one picture are in the other; those that are lost stay."""
    start = (points - 0.5).astype(np.float32)[:, None]
    moved, found, _ = cv2.calcOpticalFlowPyrLK(one, other, start, None, winSize=(15, 15), maxLevel=3)
    return np.where(found == 1, moved[:, 0].astype(np.float64) + 0.5, points)


def gray_frames(clip: Clip, track: Track) -> list[NDArray[np.uint8]]:
    numbers = set(track.numbers.tolist())
    frames = (frame for frame in read_clip(clip) if frame.number in numbers)
    return [cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY) for frame in islice(frames, len(numbers))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--footage", type=Path, required=True, help="a folder of videos")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that track")
    parser.add_argument("--pin", action="store_true", help="each of them keeps to one core (Linux)")
    parser.add_argument("--max-frames", type=int, help="only the first frames of each clip")
    parser.add_argument("--repeat", type=int, default=1, help="how often the footage is gone through")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--every", type=int, nargs="+", metavar="K", help="compare tracking every K-th frame")
    options = parser.parse_args()
    if options.every:
        sparse_tracking(options)
    else:
        whole_pipeline(options)


if __name__ == "__main__":
    main()

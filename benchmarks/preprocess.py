"""Frames a second of `preprocess`, and what Ray costs beyond the bare stages.

    python benchmarks/preprocess.py INPUT [--frames 5000] [--cpus 2] [--scratch FOLDER]

INPUT is a video, or a folder whose clips are taken again and again (as links) until there are so many frames. First all
stages run over them in this process, on one thread, and the processor's time of each is counted; then `preprocess` runs
on Ray with so many CPUs. Its wall time, without that of `ray.init`, is held against the bare stages' share of the CPUs:
alone on the machine that ratio means something, beside other work it does not. The processor's time of all of Ray's
processes meanwhile says how much of the difference is work, and how much is idle cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

from jobs.cluster import cluster
from jobs.preprocess import PreprocessConfig, run
from pipeline.clips import count_frames, read_clip
from pipeline.crop import CropTrack
from pipeline.errors import InputError
from pipeline.fit import FitTrack
from pipeline.records import Clip, Frame
from pipeline.replay import Replay
from pipeline.shards import FaceModelStamp, samples_of, write_part
from pipeline.sources import scan
from pipeline.threads import limit_threads
from pipeline.tracks import FindTracks


class Clock:
    """Seconds of the processor by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def of(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work; what is decoded meanwhile counts as decoding."""
        start, decoding = time.process_time(), self.seconds.get("decode", 0.0)
        result = work()
        decoded = self.seconds.get("decode", 0.0) - decoding
        self.add(name, time.process_time() - start - decoded)
        return result

    def read(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        frames = read_clip(clip, first)
        while True:
            start = time.process_time()
            frame = next(frames, None)
            self.add("decode", time.process_time() - start)
            if frame is None:
                return
            yield frame


def bare(config: PreprocessConfig, clips: list[Clip], scratch: Path) -> dict[str, float]:
    """Processor's seconds of each stage over the clips, decoding what does not fit in memory twice, as `WriteClip`."""
    limit_threads(1)
    clock, fit_track = Clock(), FitTrack(config.fit)
    replay = Replay(clock.read)
    crop_track, stamp = CropTrack(config.crop, replay), FaceModelStamp.of(fit_track.face_model)
    with FindTracks(config.tracks, replay) as find_tracks:
        for number, clip in enumerate([clips[0], *clips]):
            if number == 1:
                clock.seconds.clear()  # what the first clip loaded and compiled
            replay.forget()
            try:
                tracked = clock.of("track", lambda clip=clip: find_tracks(clip))
            except InputError:
                continue
            for track in tracked.tracks:
                crops = clock.of("crop", lambda track=track: crop_track(track))
                fit = clock.of("fit", lambda track=track, crops=crops: fit_track(track, crops))
                samples = samples_of(track, crops, fit)
                clock.of("encode", lambda samples=samples: write_part(scratch / "part.tar", samples, stamp))
    return clock.seconds


class Family:
    """Processor's seconds of this process and all below it, by looking at them again and again while a block runs."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[int, str], float] = {}  # by process and its start, since numbers are used again
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look_on)

    def __enter__(self) -> Family:
        self._look()
        self._before = sum(self._seconds.values())
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()
        self._look()
        self.seconds = sum(self._seconds.values()) - self._before

    def _look_on(self) -> None:
        while not self._ended.wait(0.25):
            self._look()

    def _look(self) -> None:
        """Note the time of every process below this one; see proc(5) for the fields."""
        ticks = os.sysconf("SC_CLK_TCK")
        processes: dict[int, tuple[int, str, float]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                processes[int(path.parent.name)] = int(fields[1]), fields[19], sum(map(int, fields[11:13])) / ticks
        family = {os.getpid()}
        while more := {pid for pid, (parent, _, _) in processes.items() if parent in family} - family:
            family |= more
        self._seconds |= {(pid, processes[pid][1]): processes[pid][2] for pid in family}


def gather(source: Path, frames: int, folder: Path) -> tuple[list[Clip], int]:
    """Links to the clips of the source, so many frames."""
    clips, total = [clip.path for clip in scan(source)], 0
    folder.mkdir()
    for number in range(100_000):
        path = Path(clips[number % len(clips)]).absolute()
        link = folder / f"{number:05d}{path.suffix}"
        link.symlink_to(path)
        total += count_frames(next(iter(scan(link))))
        if total >= frames and number + 1 >= len(clips):
            break
    return list(scan(folder)), total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--scratch", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        clips, frames = gather(options.input, options.frames, Path(scratch, "in"))
        config = PreprocessConfig(input=Path(scratch, "in"), out=Path(scratch, "out"))
        print(f"{frames} frames in {len(clips)} clips", flush=True)
        seconds = bare(config, clips, Path(scratch))
        for name, spent in [*seconds.items(), ("all", sum(seconds.values()))]:
            print(f"{name:8} {spent:8.1f} s of the processor, {spent / frames * 1000:6.2f} ms a frame", flush=True)
        with cluster(cpus=options.cpus):
            start = time.monotonic()
            with Family() as family:
                print(run(config))
            wall = time.monotonic() - start
    bare_seconds = sum(seconds.values())
    print(f"on Ray with {options.cpus} CPUs: {wall:.1f} s, {frames / wall:.0f} frames/s")
    print(f"  {wall * options.cpus / bare_seconds:.2f} times the bare stages' share of the CPUs, of which")
    print(f"  {family.seconds / bare_seconds:.2f} is work: {family.seconds:.1f} s of the processor in all processes")


if __name__ == "__main__":
    main()

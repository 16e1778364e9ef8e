"""An hour of work in one process: does memory grow, is a process or a file left?

    python benchmarks/soak.py CLIPS OUT [--minutes 60] [--cpus 1] [--one-ray] [--scratch /tmp]

CLIPS: a folder of videos with a face. One driver process, which lives all the time, calls the jobs' own functions. For
three fifths of the time it goes through cycles: preprocess into a new folder, the same again (nothing to do), render
with mesh-warp, the same again, status; each starts and stops a Ray of its own, or, with `--one-ray`, all use one. Then
one render lasts for a tenth of the time and one preprocess for the rest, so that workers live long; both are
interrupted, as Ctrl-C does it.

Every few seconds the memory of all processes below this one is read (PSS: what is shared counts by their share),
and their open files; after each cycle, when only the driver should be left, its own memory, its open files and threads,
what lies in the scratch folder and in /dev/shm, and whether the outputs hold the same files as in the first cycle.
Linux only. Writes OUT/samples.jsonl, prints a verdict, and exits with 1 on a leak.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.processes import Process, adopt_orphans, below
from benchmarks.soak_verdict import Sample, verdict
from jobs.cluster import cluster
from jobs.preprocess import PreprocessConfig
from jobs.preprocess import run as preprocess
from jobs.render import RenderRunConfig
from jobs.render import run as render
from jobs.status import run as status
from pipeline.crop import CropConfig
from pipeline.fit import FitConfig
from pipeline.media import find_media
from pipeline.parts import ReadConfig
from pipeline.records import Kind
from pipeline.render_plan import RenderPlan, dataset_jobs
from pipeline.render_stages import RenderConfig

EVERY = 5.0
"""Seconds from one reading to the next."""
PATIENCE = 60.0
"""Seconds that processes have to end after a run, on a machine that is busy with other work."""
SHORT = 8
"""Frames that are read of a clip."""
PER_CYCLE = 4
"""Clips of a cycle."""
STARTS = 100
LONG = 3000
"""Clips and jobs of the long runs: more than they come to."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the driver does. scratch: where its outputs lie. one_ray: for all runs, in place of one for each."""

    clips: list[Path]
    scratch: Path
    seconds: float
    cpus: int
    one_ray: bool


def drive(connection: Connection, work: Work) -> None:
    """The driver: says which phase begins, and waits for a word before it goes on."""

    def say(phase: str, **more: Any) -> None:
        connection.send({"phase": phase, **more})
        connection.recv()

    with _ray(work):
        _work(work, say)
    say("after", cycle="the end")
    say("end")


def _work(work: Work, say: Callable[..., None]) -> None:
    few = _linked(work.clips[:PER_CYCLE], PER_CYCLE, work.scratch / "few")
    dataset, videos = work.scratch / "dataset", work.scratch / "videos"
    start, cycle = time.monotonic(), 0
    while time.monotonic() - start < 0.6 * work.seconds:
        say("cycle", cycle=cycle)
        for _ in range(2):
            _preprocess(few, dataset, work.cpus)
        for _ in range(2):
            _render(dataset, PER_CYCLE, videos, work.cpus)
        for out in (dataset, videos):
            if "nothing" not in (said := status(out)):
                raise RuntimeError(said)
        outputs = [str(path.relative_to(work.scratch)) for out in (dataset, videos) for path in out.rglob("*")]
        shutil.rmtree(videos)
        say("rest", cycle=cycle, outputs=sorted(outputs))
        shutil.rmtree(dataset)
        cycle += 1
    say("preparation")
    _preprocess(few, dataset, work.cpus)
    say("long render")
    with _interrupted(0.1 * work.seconds):
        _render(dataset, LONG, videos, work.cpus)
    say("after", cycle=cycle)
    many = _linked(work.clips, LONG, work.scratch / "many")
    say("long preprocess")
    with _interrupted(0.3 * work.seconds):
        _preprocess(many, work.scratch / "large", work.cpus)
    say("after", cycle=cycle + 1)


@contextmanager
def _ray(work: Work) -> Iterator[None]:
    """One Ray for all that follows, where that is wanted; else each run starts its own.

    A machine that is busy with other work may not let Ray start within the 30 s that it gives itself: then once more.
    """
    with ExitStack() as stack:
        for _ in range(STARTS if work.one_ray else 0):
            try:
                stack.enter_context(cluster(None, work.cpus))
                break
            except Exception as error:
                if "timed out during startup" not in str(error):
                    raise
                print("Ray did not start in time; once more", flush=True)
                for process in below(os.getpid()):
                    with suppress(OSError):
                        os.kill(process.pid, signal.SIGKILL)
        yield


@contextmanager
def _interrupted(seconds: float) -> Iterator[None]:
    """Ctrl-C after so long."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    with suppress(KeyboardInterrupt):
        yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def _linked(clips: list[Path], count: int, folder: Path) -> Path:
    """A folder of so many links to the clips in turn."""
    folder.mkdir()
    for number in range(count):
        clip = clips[number % len(clips)]
        (folder / f"{number:06d}{clip.suffix}").symlink_to(clip)
    return folder


def _preprocess(clips: Path, out: Path, cpus: int) -> None:
    config = PreprocessConfig(
        input=clips,
        out=out,
        read=ReadConfig(max_frames=SHORT),
        crop=CropConfig(size=128),
        fit=FitConfig(fitter="landmarks").settled(),
        workers=cpus,
    )
    preprocess(config)


def _render(dataset: Path, count: int, out: Path, cpus: int) -> None:
    """So many jobs: the dataset's tracks in turn, each driven by itself or by another."""
    tracks = dataset_jobs(dataset).jobs
    jobs = []
    for number in range(count):
        source, driving = tracks[number % len(tracks)], tracks[number // len(tracks) % len(tracks)]
        jobs.append(replace(source, driving=driving.driving, output=f"{number}.mp4"))
    config = RenderConfig(crop=CropConfig(size=128), fit=FitConfig(fitter="landmarks").settled())
    render(RenderRunConfig(out=out, plan=RenderPlan(jobs, []), render=config, cpus=cpus))


class Watch:
    """Reads what is below this process."""

    def __init__(self, work: Work, driver: int) -> None:
        self._work, self._driver = work, driver
        self._before = {process.pid for process in below(os.getpid())} - {driver}
        self._shared: set[str] = set()

    def sample(self, phase: str, **more: Any) -> Sample:
        processes = [process for process in below(os.getpid()) if process.pid not in self._before]
        files = [name for process in processes for name in process.files]
        self._shared.update(name for name in files if name.startswith("/dev/shm/"))
        kinds: dict[str, int] = {}
        for process in processes:
            kinds[_kind(process)] = kinds.get(_kind(process), 0) + process.pss
        ray = [path for path in (self._work.scratch / "ray").rglob("*") if path.is_file()]
        (driver,) = (process for process in processes if process.pid == self._driver)
        return {
            "time": time.time(),
            "phase": phase,
            **more,
            "tree": sum(process.pss for process in processes),
            "driver": driver.uss,
            "threads": driver.threads,
            "files": len(driver.files) if phase == "rest" else len(files),
            "processes": len(processes),
            "zombies": sum(process.zombie and process.parent == self._driver for process in processes),
            "kinds": kinds,
            "ray_files": len(ray),
            "ray_bytes": sum(path.stat().st_size for path in ray if path.exists()),
        }

    def left(self, at_end: bool) -> dict[str, list[str]]:
        """Processes beside the driver, files in the scratch folder, and in /dev/shm such as our processes had open."""
        until = time.monotonic() + PATIENCE
        while (processes := self._strangers(at_end)) and time.monotonic() < until:
            time.sleep(0.5)
        return {
            "processes": [process.name for process in processes],
            "scratch": sorted(str(path) for path in (self._work.scratch / "tmp").rglob("*") if not path.is_dir()),
            "shared": sorted(name for name in self._shared if Path(name).exists()),
        }

    def _strangers(self, at_end: bool) -> list[Process]:
        """Neither the driver nor there before, nor ended; nor of a Ray that goes on after the run."""
        known = {*self._before, self._driver}
        found = [process for process in below(os.getpid()) if process.pid not in known and not process.zombie]
        lasting = _RAY if self._work.one_ray and not at_end else ()
        return [process for process in found if not any(name in process.name for name in lasting)]


_RAY = (
    *("gcs_server", "raylet/raylet", "autoscaler/_private", "dashboard/", "_private/log_monitor", "default_worker.py"),
    *("ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::IDLE"),
    *("ray::_AutoscalingCoordinatorActor", "ray::_StatsActor", "ray::ActorLocationTracker"),
)
"""What a Ray has running while nothing runs on it."""


def _kind(process: Process) -> str:
    for mark in ("decoder_process", "gcs_server", "raylet/raylet", "multiprocessing.spawn"):
        if mark in process.name:
            return mark
    return process.name.split("(")[0].split(".")[0] if process.name.startswith("ray::") else process.name[:40]


def soak(work: Work) -> Iterator[Sample]:
    """All samples of the time."""
    for name, variable in (("tmp", "TMPDIR"), ("ray", "RAY_TMPDIR")):
        (work.scratch / name).mkdir()
        os.environ[variable] = str(work.scratch / name)
    os.environ |= {"RAY_worker_niceness": "0"}  # at Ray's own 15, workers stand still where others work too
    adopt_orphans()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    driver = context.Process(target=drive, args=(theirs, work))
    driver.start()
    theirs.close()
    assert driver.pid is not None
    watch = Watch(work, driver.pid)
    phase: Sample = {"phase": "start"}
    while True:
        if ours.poll(EVERY):
            phase = ours.recv()
            if phase["phase"] in ("rest", "after"):
                begun, left = time.monotonic(), watch.left(phase.get("cycle") == "the end")
                yield {**watch.sample(**phase), "left": left, "waited": time.monotonic() - begun}
            ours.send("go on")
            if phase["phase"] == "end":
                break
        else:
            yield watch.sample(**phase)
    driver.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--one-ray", action="store_true", help="For all runs; else each starts and stops its own.")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp"), help="Ray needs a short path.")
    options = parser.parse_args()
    clips = sorted((options.clips / place).resolve() for place, kind in find_media(options.clips) if kind == Kind.VIDEO)
    options.out.mkdir(parents=True)
    samples = []
    with (
        tempfile.TemporaryDirectory(prefix="soak", dir=options.scratch) as scratch,
        (options.out / "samples.jsonl").open("w") as file,
    ):
        work = Work(
            clips=clips,
            scratch=Path(scratch),
            seconds=options.minutes * 60,
            cpus=options.cpus,
            one_ray=options.one_ray,
        )
        for sample in soak(work):
            samples.append(sample)
            print(json.dumps(sample), file=file, flush=True)
    text, flat = verdict(samples)
    print(text)
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()

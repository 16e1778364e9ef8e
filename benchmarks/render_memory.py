"""Peak memory of what `render` does with one job, all stages in one process, for a short and for a long driver.

    python benchmarks/render_memory.py CLIP PORTRAIT [--minutes 1 20]

The driver is the clip, played to and fro. Each length is a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.footage import write_long_video
from jobs.render_actors import CHUNK
from pipeline.render_plan import RenderJob
from pipeline.render_stages import Generate, Prepare, RenderConfig, Write


def one_job(portrait: Path, clip: Path, folder: Path) -> tuple[int, int]:
    """Its frames, and the most bytes that this process had."""
    config = RenderConfig()
    prepare, generator, write = Prepare(config), Generate(config, "cpu"), Write(config, folder)

    def pictures(view: Any, take: Any, performance: Any) -> Iterator[Any]:
        for at in range(0, len(performance), CHUNK):
            yield from generator(view, lambda: take, performance.rows(slice(at, at + CHUNK)))

    job = RenderJob(source=str(portrait), driving=str(clip), output=f"{clip.stem}-out.mp4")
    row = write(job, prepare.source(job.source), prepare.driving(job.driving), pictures)
    assert row.frames, row.message
    return row.frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("portrait", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 20])
    options = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            long = Path(folder) / f"{minutes:g}.mp4"
            write_long_video(long, options.clip, minutes)
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                frames, peak = alone.submit(one_job, options.portrait, long, Path(folder)).result()
            peaks.append(peak)
            print(f"{minutes:g} min, {frames:,} frames: peak {peak / 1e6:,.0f} MB", flush=True)
    print(f"the longest against the shortest: {100 * (peaks[-1] / peaks[0] - 1):+.1f} %")


if __name__ == "__main__":
    main()

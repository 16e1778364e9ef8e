"""Peak memory of reenact for a short and for a long driver, which are to be the same.

    python benchmarks/reenact_memory.py [--minutes 1 20] [--size 256] [--layout panels]

The driver is the demo's clip, played to and fro at 25 frames a second until it is so long, so that one face goes on
without a cut. Each run is a process of its own; its peak resident size is printed, and how much larger the last is.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.footage import write_long_video
from jobs.demo import DRIVING, SOURCE, packaged_file
from jobs.reenact import ReenactConfig, run
from pipeline.crop import CropConfig


def reenact(driver: Path, size: int, panels: bool) -> None:
    """The work whose memory is measured; prints its peak in MB, its frames and its seconds."""
    start = time.perf_counter()
    source = str(packaged_file(*SOURCE))
    config = ReenactConfig(
        source=source,
        driving=str(driver),
        out=driver.with_suffix(".out.mp4"),
        panels=panels,
        crop=CropConfig(size=size),
    )
    summary = run(config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    print(f"{peak:.0f} MB, {time.perf_counter() - start:.0f} s, {summary.split(': ')[-1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 20])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--layout", choices=["result", "panels"], default="panels")
    parser.add_argument("--driver", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.driver:
        return reenact(options.driver, options.size, options.layout == "panels")
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            driver = Path(folder) / f"{minutes:g}.mp4"
            write_long_video(driver, packaged_file(*DRIVING), minutes)
            child = [sys.executable, __file__, "--driver", str(driver), "--size", str(options.size)]
            command = [*child, "--layout", options.layout]
            line = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1]
            print(f"{minutes:g} min: {line}", flush=True)
            peaks.append(float(line.split()[0]))
    print(f"the last is {100 * (peaks[-1] / peaks[0] - 1):+.1f} % of the first")


if __name__ == "__main__":
    main()

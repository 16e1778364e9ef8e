"""Many clips on few CPUs, and the memory of long videos.

    python benchmarks/preprocess_scale.py CLIP [--clips 400] [--minutes 1 20] [--scratch FOLDER]

CLIP is a short video with a face. First so many copies (links) of it, five frames each, go through `preprocess` on one
CPU and on two: a deadlock would show. Then its frames, repeated to so many minutes, are one video, and the most memory
that the driver and all processes below it have at once is printed for each length: what is theirs alone and their
share of what is common (PSS), read twice a second from /proc; and of that what lies in no file, which the system cannot
drop: points of a long video's tracks wait in a file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.footage import write_long_video
from benchmarks.processes import below, read_process
from pipeline.ledger import read_ledger

ROOT = Path(__file__).parents[1]


def preprocess(source: Path, out: Path, *options: str) -> str:
    """Run it. Returns seconds, and the most memory, in words. Exits if it fails."""
    command = [sys.executable, "-m", "jobs.cli", "preprocess", str(source), str(out), *options]
    start = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})
    most = lasting = 0
    while process.poll() is None:
        every = list(filter(None, [read_process(process.pid), *below(process.pid)]))
        most = max(most, sum(one.pss for one in every))
        lasting = max(lasting, sum(one.pss - one.in_files for one in every))
        time.sleep(0.5)
    if process.returncode:
        sys.exit(f"preprocess ended with {process.returncode}")
    seconds = time.monotonic() - start
    return f"{seconds:.0f} s, at most {most / 2**20:.0f} MiB, {lasting / 2**20:.0f} MiB in no file"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--minutes", type=float, nargs="*", default=[1, 20])
    parser.add_argument("--scratch", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch) as name:
        scratch = Path(name)
        (scratch / "many").mkdir()
        for number in range(options.clips):
            (scratch / "many" / f"{number:05d}{options.clip.suffix}").symlink_to(options.clip.absolute())
        for workers in ("1", "2") if options.clips else ():
            out = scratch / f"out{workers}"
            few = ("--workers", workers, "--max-frames-per-clip", "5")
            said = preprocess(scratch / "many", out, *few)
            print(f"{len(read_ledger(out))} clips, {workers} CPU: {said}", flush=True)
        for minutes in options.minutes:
            video = scratch / f"{minutes:g}.mp4"
            write_long_video(video, options.clip, minutes)
            said = preprocess(video, scratch / f"long{minutes:g}", "--workers", "1")
            print(f"{minutes:g} minutes: {said}", flush=True)


if __name__ == "__main__":
    main()

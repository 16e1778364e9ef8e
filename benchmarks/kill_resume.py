"""SIGKILL to `preprocess` at random moments, begun again each time: are the shards those of an undisturbed run?

    python benchmarks/kill_resume.py INPUT [--kills 10] [--seed 0] [--scratch FOLDER]

The undisturbed run has one worker a stage and tells how long a run takes; the killed ones have two. Every other kill
hits the driver and all of its group, the rest one of its workers or decoders, after which the run must go on by itself.
Where a run comes to its end, its shards are compared, and the kills that are left hit runs into another folder.
Exit code 1 if a shard differs, or an input has no or several rows in the ledger.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.processes import workers_below
from pipeline.ledger import read_ledger, read_manifest

ROOT = Path(__file__).parents[1]
_STAGES = ("MapWorker", "decoder_process")


def start(source: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobs.cli", "preprocess", str(source), str(out), "--shard-size", "50M"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*command, "--workers", str(workers)], start_new_session=True, env=environment)


class Killer:
    """Kills at moments between none and all of `seconds` after the start of a run."""

    def __init__(self, source: Path, seconds: float, rng: random.Random) -> None:
        self._source, self._seconds, self._rng = source, seconds, rng

    def until_done(self, out: Path, first: int, last: int) -> int:
        """Begin runs into a folder until one ends by itself, which has been killed at first, first + 1, ... last at
        most. Returns the number of the kill that comes next."""
        number = first
        while True:
            process = start(self._source, out, 2)
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._rng.uniform(0, self._seconds) if number <= last else None)
            if process.poll() is None:
                self._kill(process, number)
                number += 1
            if process.wait() == 0:
                return number
            if process.returncode != -signal.SIGKILL:
                sys.exit(f"the run after kill {number - 1} failed")

    def _kill(self, process: subprocess.Popen[bytes], number: int) -> None:
        found = [worker for worker in workers_below(process.pid) if any(mark in worker.name for mark in _STAGES)]
        if number % 2 or not found:
            os.killpg(process.pid, signal.SIGKILL)
            print(f"kill {number}: the driver", flush=True)
        else:
            chosen = self._rng.choice(found)
            with suppress(ProcessLookupError):
                os.kill(chosen.pid, signal.SIGKILL)
            print(f"kill {number}: {chosen.name[:60]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", type=Path, default=None)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        straight = Path(scratch, "straight")
        begin = time.monotonic()
        if start(options.input, straight, 1).wait():
            sys.exit("the undisturbed run failed")
        seconds = time.monotonic() - begin
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        killer, done, folders = Killer(options.input, seconds, rng), 0, 0
        while done < options.kills:
            folders += 1
            killed = Path(scratch, f"killed{folders}")
            done = killer.until_done(killed, done + 1, options.kills) - 1
            if not compare(straight, killed):
                sys.exit(1)


def compare(straight: Path, killed: Path) -> bool:
    """Whether the killed runs left what the undisturbed one did; says what differs."""
    names = [path.name for path in sorted(straight.glob("*.tar"))]
    same = [path.name for path in sorted(killed.glob("*.tar"))] == names
    same = same and all((straight / name).read_bytes() == (killed / name).read_bytes() for name in names)
    rows = Counter(row.input for row in read_ledger(killed))
    once = set(rows.values()) == {1} and set(rows) == {row.input for row in read_ledger(straight)}
    manifest = read_manifest(killed) == read_manifest(straight)
    print(f"{len(names)} shards byte-identical: {same}; manifest equal: {manifest}")
    print(f"{len(rows)} inputs with one row each in the ledger: {once}")
    return same and once and manifest


if __name__ == "__main__":
    main()

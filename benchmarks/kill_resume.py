"""SIGKILL to `preprocess` at random moments, begun again each time: are the shards those of an undisturbed run?

    python benchmarks/kill_resume.py INPUT [--kills 10] [--seed 0] [--scratch FOLDER]

The undisturbed run has one worker a stage and tells how long a run takes; the killed ones have two. Every other kill
hits the driver and all of its group, the rest one of its workers or decoders, after which the run must go on by itself.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.ledger import read_ledger, read_manifest

ROOT = Path(__file__).parents[1]


def start(source: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobs.cli", "preprocess", str(source), str(out), "--shard-size", "50M"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([*command, "--workers", str(workers)], start_new_session=True, env=environment)


def workers_of(process: subprocess.Popen[bytes]) -> list[tuple[int, str]]:
    """Numbers and names of Ray's workers and the decoders below a process."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    family = {process.pid}
    while more := {int(pid) for pid, parent, _ in rows if int(parent) in family} - family:
        family |= more
    marks = ("ray::", "decoder_process")
    return [(int(pid), name[:60]) for pid, _, name in rows if int(pid) in family and any(m in name for m in marks)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", type=Path, default=None)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        straight, killed = Path(scratch, "straight"), Path(scratch, "killed")
        begin = time.monotonic()
        if start(options.input, straight, 1).wait():
            sys.exit("the undisturbed run failed")
        seconds = time.monotonic() - begin
        print(f"undisturbed: {seconds:.0f} s", flush=True)
        done = 0
        while done < options.kills:
            process = start(options.input, killed, 2)
            moment = rng.uniform(0, seconds)
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                done += 1
            else:
                print(f"done before it was killed, after {done} kills: the rest hits finished runs", flush=True)
                done += 1
                continue
            workers = workers_of(process)
            if done % 2 or not workers:
                os.killpg(process.pid, signal.SIGKILL)
                print(f"kill {done}: the driver after {moment:.1f} s", flush=True)
            else:
                number, name = rng.choice(workers)
                os.kill(number, signal.SIGKILL)
                print(f"kill {done}: {name} after {moment:.1f} s, exit {process.wait()}", flush=True)
            process.wait()
        if start(options.input, killed, 2).wait():
            sys.exit("the last run failed")
        sys.exit(compare(straight, killed))


def compare(straight: Path, killed: Path) -> int:
    """Say what differs. Returns the exit code."""
    names = [path.name for path in sorted(straight.glob("*.tar"))]
    same = [path.name for path in sorted(killed.glob("*.tar"))] == names
    same = same and all((straight / name).read_bytes() == (killed / name).read_bytes() for name in names)
    rows = Counter(row.input for row in read_ledger(killed))
    once = set(rows.values()) == {1} and set(rows) == {row.input for row in read_ledger(straight)}
    manifest = read_manifest(killed) == read_manifest(straight)
    print(f"{len(names)} shards byte-identical: {same}; manifest equal: {manifest}")
    print(f"{len(rows)} inputs with one row each in the ledger: {once}")
    return 0 if same and once and manifest else 1


if __name__ == "__main__":
    main()

"""`render` killed at random moments and run again: nothing missing, doubled or torn.

    python benchmarks/render_kill.py DATA WORK [--kills 5] [--sources N] [--drivings N] [--hard] [--seed 0]

DATA has portraits/, clips/ and hard/. The command runs in a process group of its own, which gets SIGKILL as a whole
after a random time, that many times, and is then left to end. A run that is not disturbed is the reference: the same
rows, the same files, the same bytes. Exit code 1 if anything differs. WORK: a folder for all of it, tens of MB.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.ledger import Status  # noqa: E402
from pipeline.render_ledger import RenderRow, read_render_ledger  # noqa: E402


def command(out: Path, work: Path) -> list[str]:
    inputs = ["--sources", str(work / "sources"), "--drivings", str(work / "drivings")]
    return [sys.executable, "-m", "jobs.cli", "render", str(out), *inputs]


def start(out: Path, work: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (work / "log.txt").open("ab") as log:
        return subprocess.Popen(command(out, work), env=environment, stdout=log, stderr=log, start_new_session=True)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """The command with all that it started: Ray's processes are in sessions of their own, children of ours."""
    for pid in reversed(descendants(process.pid)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def descendants(root: int) -> list[int]:
    """A process and all below it, parents first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def link_inputs(data: Path, work: Path, sources: int, drivings: int, hard: bool) -> None:
    """Copies, since links to folders are not followed."""
    for name, folder, count in (("sources", "portraits", sources), ("drivings", "clips", drivings)):
        (work / name).mkdir(parents=True)
        files = sorted(path for path in (data / folder).iterdir() if path.suffix != ".csv")
        for path in sorted(files, key=lambda path: path.stat().st_size)[:count] if count else files:
            shutil.copy(path, work / name)
    if hard:
        for path in sorted((data / "hard").iterdir()):
            if path.name.startswith("img_"):
                shutil.copy(path, work / "sources")
        for name in ("zero_byte.mp4", "trunc_no_moov.mp4", "no_face_coffee.mp4", "audio_only.mp4", "one_frame.mp4"):
            shutil.copy(data / "hard" / name, work / "drivings")


def videos(out: Path) -> dict[str, str]:
    """Every file that is not the run's own record, and its hash."""
    found = {}
    for path in sorted(out.rglob("*")):
        place = path.relative_to(out)
        if path.is_file() and place.parts[0] != ".pieces" and place.name not in ("ledger.parquet", "report.html"):
            found[str(place)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def complaints(out: Path, reference: dict[str, RenderRow]) -> list[str]:
    """What is missing, doubled or torn."""
    rows = read_render_ledger(out)
    found = videos(out)
    done = {row.output: row for row in rows if row.status == Status.DONE}
    said = [f"{name}: {count} rows" for name, count in Counter(row.output for row in rows).items() if count > 1]
    said += [f"{name}: no row" for name in reference.keys() - {row.output for row in rows}]
    said += [f"{name}: a file without a row that is done" for name in found.keys() - done.keys()]
    said += [f"{name}: no file" for name in done.keys() - found.keys()]
    said += [
        f"{name}: not the bytes of its row" for name in done.keys() & found.keys() if found[name] != done[name].sha256
    ]
    for row in rows:
        other = reference[row.output]
        if (row.status, row.reason, row.sha256) != (other.status, other.reason, other.sha256):
            said.append(f"{row.output}: {row.status} {row.reason}, undisturbed {other.status} {other.reason}")
        if row.status != Status.DONE and not (row.reason and row.message):
            said.append(f"{row.output}: {row.status} without a reason")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--sources", type=int, default=0, help="only so many, the smallest files")
    parser.add_argument("--drivings", type=int, default=0, help="only so many, the smallest files")
    parser.add_argument("--hard", action="store_true", help="mix broken and faceless inputs in")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = options.work.resolve()
    link_inputs(options.data, work, options.sources, options.drivings, options.hard)

    begun = time.perf_counter()
    code = start(work / "whole", work).wait()
    seconds = time.perf_counter() - begun
    reference = {row.output: row for row in read_render_ledger(work / "whole")}
    ended = Counter((row.status.value, row.reason and row.reason.value) for row in reference.values())
    work_done = re.search(r"\d+ jobs worked on[^<]*", (work / "whole" / "report.html").read_text())
    print(f"undisturbed: exit {code}, {seconds:.0f} s, {sum(row.frames for row in reference.values()):,} frames")
    print(f"  {work_done[0] if work_done else 'no report'}")
    for (status, reason), count in sorted(ended.items(), key=str):
        print(f"  {count:4} {status} {reason or ''}")

    moments = random.Random(options.seed)
    for number in range(options.kills):
        process = start(work / "killed", work)
        wait = moments.uniform(0.1, 1.0) * seconds / (options.kills + 1)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            kill_all(process)
        pieces = len(list((work / "killed/.pieces").glob("*/*.json")))
        print(f"kill {number + 1}: after {wait:.0f} s, {pieces} of {len(reference)} jobs known", flush=True)
    code = start(work / "killed", work).wait()
    said = complaints(work / "killed", reference)
    print(f"at last: exit {code}, {len(videos(work / 'killed'))} videos, {len(said)} complaints", *said, sep="\n  ")
    sys.exit(bool(said))


if __name__ == "__main__":
    main()

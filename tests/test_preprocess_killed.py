"""preprocess killed at any moment: begun again, it ends with the bytes of a run that nothing disturbed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.processes import workers_below
from pipeline.ledger import read_ledger, read_manifest

CLIPS = 6
_ROOT = Path(__file__).parents[1]


def start(inputs: Path, out: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jobs.cli", "preprocess", str(inputs), str(out), "--shard-size", "1500K"]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, "--workers", str(workers)], start_new_session=True, env=environment)


def wait_for_more(process: subprocess.Popen[bytes], out: Path, pattern: str) -> None:
    """Until the run has added such a file to those there were, or has ended."""
    before, deadline = len(list(out.glob(pattern))), time.monotonic() + 280
    while process.poll() is None and len(list(out.glob(pattern))) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.timeout(900)
def test_kills_of_driver_and_workers_leave_no_trace(excerpt: Path, tmp_path: Path) -> None:
    inputs, straight, killed = (tmp_path / name for name in ("in", "straight", "killed"))
    inputs.mkdir()
    for number in range(CLIPS):
        shutil.copy(excerpt, inputs / f"{number}.mp4")
    (inputs / "broken.mp4").write_bytes(bytes(1000))
    assert start(inputs, straight, workers=2).wait() == 0

    for pattern in (".parts/*/*.tar", ".pieces/*/*.json"):
        process = start(inputs, killed, workers=1)
        wait_for_more(process, killed, pattern)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was to be killed before it was done"
    process = start(inputs, killed, workers=1)
    wait_for_more(process, killed, ".pieces/*/*.json")
    doomed = workers_below(process.pid)
    assert any("MapWorker" in worker.name for worker in doomed)
    for worker in doomed:
        with suppress(ProcessLookupError):  # ended with the one before
            os.kill(worker.pid, signal.SIGKILL)
    assert process.wait() == 0

    names = [path.name for path in sorted(straight.glob("*.tar"))]
    assert len(names) > 1
    assert [path.name for path in sorted(killed.glob("*.tar"))] == names
    for name in names:
        assert (killed / name).read_bytes() == (straight / name).read_bytes()
    assert read_manifest(killed) == read_manifest(straight)
    rows = Counter((row.input, row.status, row.reason, row.frames) for row in read_ledger(killed))
    assert rows == Counter((row.input, row.status, row.reason, row.frames) for row in read_ledger(straight))
    assert set(rows.values()) == {1}
    assert len(rows) == CLIPS + 1
    left = [path.name for path in killed.rglob(".*") if path.name != ".pieces"]
    assert left == []

"""A disk that is full while preprocess runs: the run ends with a line, and goes on once there is room."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.outputs import refuse_full_disk
from pipeline.atomic import atomic_path, why_not_written
from pipeline.errors import PipelineError, Reason
from pipeline.ledger import read_ledger
from pipeline.render_ledger import RenderRow
from pipeline.render_plan import RenderJob

CLIPS = 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system for one clip's part and no more; only a superuser can have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1000k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def preprocess(inputs: Path, out: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "jobs.cli", "preprocess", str(inputs), str(out), "--workers", "1"]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.timeout(1200)
def test_a_full_disk_ends_the_run_with_a_line_and_the_same_command_goes_on(
    small_disk: Path, excerpt: Path, tmp_path: Path
) -> None:
    inputs = tmp_path / "in"
    inputs.mkdir()
    for number in range(CLIPS):
        shutil.copy(excerpt, inputs / f"{number}.mp4")

    full = preprocess(inputs, small_disk / "out")
    assert full.returncode == 1
    assert "cannot be written (No space left on device)" in full.stderr.splitlines()[-1]

    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    again = preprocess(inputs, small_disk / "out")
    assert again.returncode == 0, again.stderr
    assert not list(small_disk.rglob("*.partial*"))
    assert [row.frames for row in read_ledger(small_disk / "out")] == [12] * CLIPS

    straight = preprocess(inputs, tmp_path / "straight")
    assert straight.returncode == 0, straight.stderr
    name = "shard-000000.tar"
    assert (small_disk / "out" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, Reason.DISK_FULL), (errno.EDQUOT, Reason.DISK_FULL), (errno.EACCES, Reason.UNWRITABLE)],
)
def test_what_cannot_be_written_says_whether_that_is_for_want_of_room(
    number: int, reason: Reason, tmp_path: Path
) -> None:
    with pytest.raises(PipelineError) as caught, atomic_path(tmp_path / "a.mp4"):
        raise OSError(number, os.strerror(number))
    assert why_not_written(caught.value) == reason


def test_a_job_that_finds_the_disk_full_ends_the_run_and_any_other_fault_does_not() -> None:
    job = RenderJob(source="a.png", driving="b.mp4", output="a.mp4")
    with pytest.raises(PipelineError, match=r"a.mp4: cannot be written; make room, and the same command goes on"):
        refuse_full_disk(RenderRow.without(job, Reason.DISK_FULL, "a.mp4: cannot be written"))
    refuse_full_disk(RenderRow.without(job, Reason.UNWRITABLE, "a.mp4: cannot be written"))

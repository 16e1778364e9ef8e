"""`preprocess --dry-run`: says how much there is to do, writes nothing, and ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from jobs.estimate import estimate
from jobs.preprocess import PreprocessConfig, clip_config
from pipeline.errors import PipelineError
from pipeline.parts import WriteClip
from pipeline.sources import clip_of

_ROOT = Path(__file__).parents[1]


def test_a_dry_run_counts_measures_and_ends(excerpt: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "jobs.cli", "preprocess", str(excerpt), str(out), "--dry-run", "--workers", "4"]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250, check=True)
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert said["clips"] == "1, and 0 that the scan leaves out"
    assert said["frames"] == "12"
    assert said["bytes"] == "0.00 GB"
    assert re.fullmatch(r"0\.\d\d with 4 workers at \d+ frames/s each", said["hours"])
    assert not out.exists()


def test_the_stage_runs_in_this_process_and_its_decoder_ends_with_it(excerpt: Path, tmp_path: Path) -> None:
    with closing(WriteClip(clip_config(PreprocessConfig(input=excerpt, out=tmp_path)))) as write_clip:
        written = write_clip(clip_of(excerpt))
        assert _decoders() != []
    assert (written.read, written.frames, written.fault) == (12, 12, None)
    assert [part.row["frames"] for part in written.parts] == [12]
    assert _decoders() == []


def _decoders() -> list[str]:
    """Of this process."""
    command = ["ps", "-o", "args=", "--ppid", str(os.getpid())]
    return [
        line
        for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
        if "decoder" in line
    ]


def test_without_a_track_there_is_nothing_to_go_by(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(bytes(1000))
    with pytest.raises(PipelineError, match="none of the clips tried gave a track"):
        estimate(PreprocessConfig(input=tmp_path, out=tmp_path / "out"))

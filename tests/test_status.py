"""status: what is known of a run, and an estimate that claims no more than that."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from jobs.status import report, run
from pipeline.assembly import Assembly
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.pieces import Pieces
from pipeline.plan import ClipResult, Plan
from pipeline.progress import RECENT, Progress, read_progress
from pipeline.records import Clip
from pipeline.sources import Scan

CLIPS = [Clip(path=f"{number}.mp4", identity=str(number), video="v", clip="c") for number in range(5)]


def begin(out: Path) -> Assembly:
    pieces = Pieces(out)
    pieces.begin({})
    return Assembly(pieces, Plan.of(Scan(CLIPS)), 1 << 30)


def test_done_skipped_and_failed_are_counted_while_the_run_goes_on(tmp_path: Path) -> None:
    assembly = begin(tmp_path)
    assembly.note_run(clips=5, missing=5)
    faults = [None, InputError(Reason.NO_FACE, "1.mp4"), InputError(Reason.UNREADABLE, "2.mp4")]
    for clip, fault in zip(CLIPS, faults, strict=False):
        result = ClipResult.of(clip, fault, tracks=0 if fault else 1, frames=0 if fault else 40, seconds=1)
        assembly.add(f"{clip.identity}/v/c", result, [])
    lines = dict(line.split(maxsplit=1) for line in run(tmp_path).splitlines())
    assert {name: lines[name] for name in ("clips", "done", "skipped", "failed", "frames")} == {
        "clips": "3 of 5",
        "done": "1",
        "skipped": "1",
        "failed": "1",
        "frames": "40",
    }
    assert (lines["no_face"], lines["unreadable"]) == ("1", "1")


def test_only_what_this_run_has_done_counts_for_what_is_left(tmp_path: Path) -> None:
    first = begin(tmp_path)
    first.note_run(clips=5, missing=5)
    first.add("0/v/c", ClipResult.of(CLIPS[0], None, tracks=1, frames=1000, seconds=1), [])
    time.sleep(0.01)
    second = begin(tmp_path)
    second.note_run(clips=5, missing=4)
    assert read_progress(tmp_path).seconds_left is None
    assert "not known yet" in run(tmp_path)
    second.add("1/v/c", ClipResult.of(CLIPS[1], None, tracks=1, frames=10, seconds=1), [])
    progress = read_progress(tmp_path)
    assert (progress.since, progress.recent_frames, progress.frames) == (1, 10, 1010)
    assert progress.seconds_left == pytest.approx(3 * progress.recent_seconds)


def test_the_pace_is_that_of_the_last_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clip long ago, and then, other nodes having joined, three within the last ten minutes."""
    clock = iter([0.0, 1000.0, 3000.0, 3400.0, 3600.0])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    assembly = begin(tmp_path)
    assembly.note_run(clips=5, missing=5)
    for clip in CLIPS[:4]:
        result = ClipResult.of(clip, None, tracks=1, frames=30, seconds=1)
        assembly.add(f"{clip.identity}/v/c", result, [])
    progress = read_progress(tmp_path)
    assert (progress.recent, progress.recent_seconds, progress.seconds_left) == (3, RECENT, RECENT / 3)


def test_a_finished_run_has_nothing_left_and_a_silent_one_says_since_when() -> None:
    progress = Progress(
        clips=4,
        statuses=Counter(done=2),
        reasons=Counter(),
        frames=200,
        missing=4,
        since=2,
        last=1000.0,
        recent=2,
        recent_frames=200,
        recent_seconds=10.0,
    )
    text = report(progress, finished=False, now=1100.0)
    assert "20.0" in text
    assert "0:01:40 ago" in text
    assert "about 0:00:10 at the recent pace of this run" in text


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no run of preprocess or render has begun here"):
        run(tmp_path)

"""The order in which clips are begun."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.plan import longest_first
from pipeline.records import Clip, Span
from pipeline.sources import clip_of


def test_long_files_are_begun_first_and_others_stay_in_order(tmp_path: Path) -> None:
    clips: dict[str, Clip] = {"remote": replace(clip_of("video.mp4"), path="s3://bucket/video.mp4")}
    for name, size in (("a", 10), ("b", 3000), ("c", 10), ("d", 5000)):
        (tmp_path / name).write_bytes(bytes(size))
        clips[name] = clip_of(tmp_path / name)
    clips["missing"] = clip_of(tmp_path / "missing")
    assert [key for key, _ in longest_first(clips)] == ["d", "b", "a", "c", "remote", "missing"]


def test_parts_of_a_file_go_by_their_own_length() -> None:
    upload = clip_of("upload.mp4")
    clips = {str(end): replace(upload, span=Span(0.0, end)) for end in (2.0, 9.0, 4.0)}
    assert [key for key, _ in longest_first(clips)] == ["9.0", "4.0", "2.0"]


def test_what_is_far_behind_in_the_plan_waits() -> None:
    upload = clip_of("upload.mp4")
    clips = {str(number): replace(upload, span=Span(0.0, number + 1)) for number in range(1500)}
    order = [key for key, _ in longest_first(clips)]
    assert (order[0], order[999], order[1000], order[-1]) == ("999", "0", "1499", "1000")

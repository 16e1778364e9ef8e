"""Texts that name sources and drivers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.addresses import Camera, Moment, Stored, parse_driving, parse_source
from pipeline.errors import PipelineError


def test_files_moments_and_parts_of_datasets_are_sources() -> None:
    assert parse_source("face.png") == Path("face.png")
    assert parse_source("some@where/clip.mp4@3.2s") == Moment(Path("some@where/clip.mp4"), 3.2)
    assert parse_source("set::ann/up load/c%2E1/2@17") == Stored(Path("set"), "ann", "up load", "c.1", 2, 17)
    assert parse_source("a/set::ann/video/clip.mp4") == Stored(Path("a/set"), "ann", "video", "clip.mp4", None, None)


def test_files_cameras_and_parts_of_datasets_drive() -> None:
    assert parse_driving("clip.mp4@3.2s") == Path("clip.mp4@3.2s")
    assert parse_driving("0") == Camera(0)
    assert parse_driving("set::ann/video/clip/0") == Stored(Path("set"), "ann", "video", "clip", 0, None)


def test_a_file_of_that_very_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("clip.mp4@2s", "a::b", "0"):
        Path(name).touch()
    assert parse_source("clip.mp4@2s") == Path("clip.mp4@2s")
    assert parse_source("a::b") == parse_driving("a::b") == Path("a::b")
    assert parse_driving("0") == Path("0")


@pytest.mark.parametrize("text", ["set::", "::a/b/c", "set::a/b", "set::a/b/c/d", "set::a//c", "set::a/b/c@x"])
def test_what_is_no_part_of_a_dataset_says_how_one_is_named(text: str) -> None:
    with pytest.raises(PipelineError, match=r"DATASET::identity/video/clip"):
        parse_source(text)


def test_a_single_frame_does_not_drive() -> None:
    with pytest.raises(PipelineError, match="leave out @3"):
        parse_driving("set::ann/video/clip@3")

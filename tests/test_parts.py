"""A clip's part has the same bytes whether its frames were kept or decoded again."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from jobs.preprocess import PreprocessConfig, clip_config
from pipeline.crop import CropConfig
from pipeline.parts import PARTS, WriteClip
from pipeline.replay import Replay
from pipeline.sources import clip_of


def part(excerpt: Path, out: Path) -> bytes:
    config = PreprocessConfig(input=excerpt, out=out, crop=CropConfig(size=64))
    with closing(WriteClip(clip_config(config))) as write_clip:
        (written,) = write_clip(clip_of(excerpt)).parts
    return (out / PARTS / written.file).read_bytes()


def test_a_clip_decoded_twice_gives_the_part_of_one_decoded_once(
    excerpt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = part(excerpt, tmp_path / "once")
    monkeypatch.setattr("pipeline.parts.Replay", partial(Replay, most_bytes=0))
    assert part(excerpt, tmp_path / "twice") == once

"""The manifest in columns says of every track what its row says, and refuses offsets that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_dataset import MadeTrack, write_dataset

from pipeline.dataset import open_dataset
from pipeline.errors import PipelineError
from pipeline.keys import track_prefix
from pipeline.ledger import ManifestRow, read_manifest, write_manifest
from pipeline.track_index import read_track_index

TRACKS = [
    MadeTrack("bob", "a", frames=3),
    MadeTrack("ann", "名 #1.mp4", frames=1, split="val"),
    MadeTrack("bob", "a", frames=2, track=1),
    MadeTrack("ann", "b", frames=2, video="other", split="val"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, TRACKS, size=16, shard_bytes=100_000)


def test_every_row_says_what_the_manifest_says(folder: Path) -> None:
    index, rows = read_track_index(folder), open_dataset(folder).tracks
    assert len(index) == len(rows) == 4
    assert len({row.shard for row in rows}) > 1
    for number, row in enumerate(rows):
        for name in ("identity", "video", "clip", "split", "shard"):
            assert getattr(index, name)[number] == getattr(row, name)
        assert index.frames[number] == row.frames
        assert index.prefix(number) == track_prefix(row.identity, row.video, row.clip, row.track)
        ranges = [index.byte_range(number, frame) for frame in range(row.frames)]
        assert ranges == list(zip(row.offsets[:-1], row.offsets[1:], strict=True))


def test_offsets_beyond_four_gigabytes_come_back(folder: Path) -> None:
    rows = read_manifest(folder)
    offsets = [offset + (1 << 40) for offset in rows[2].offsets]
    write_manifest([*rows[:2], replace(rows[2], offsets=offsets), rows[3]], folder)
    assert read_track_index(folder).byte_range(2, 1) == (offsets[1], offsets[2])


def test_a_manifest_without_rows_is_an_empty_index(tmp_path: Path) -> None:
    write_manifest([], tmp_path)
    assert len(read_track_index(tmp_path)) == 0


def wrong_offsets(row: ManifestRow) -> list[list[int]]:
    beyond = [offset + (1 << 41) for offset in row.offsets]
    return [row.offsets[:-1], [*row.offsets, row.offsets[-1]], [1, *row.offsets[1:]], [-512, *row.offsets[1:]], beyond]


@pytest.mark.parametrize("case", range(5))
def test_offsets_that_are_no_places_in_a_tar_are_refused(folder: Path, case: int) -> None:
    rows = read_manifest(folder)
    write_manifest([rows[0], replace(rows[1], offsets=wrong_offsets(rows[1])[case]), *rows[2:]], folder)
    with pytest.raises(PipelineError, match=r"manifest\.parquet: offsets of rows 0 to 3 are not a tar's"):
        read_track_index(folder)


@pytest.mark.parametrize("data", [None, b"", b"PAR1 no table"])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, data: bytes | None) -> None:
    if data is not None:
        (tmp_path / "manifest.parquet").write_bytes(data)
    with pytest.raises(PipelineError, match=r"manifest\.parquet: no readable manifest"):
        read_track_index(tmp_path)

"""Manifest and ledger: rows come back as they went in, with the columns that readers rely on."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import pipeline.ledger
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.ledger import (
    LedgerRow,
    Manifest,
    ManifestRow,
    Status,
    read_ledger,
    read_manifest,
    write_ledger,
    write_manifest,
)

TRACK = ManifestRow(
    identity="a.b",
    video="名",
    clip="c",
    track=1,
    frames=2,
    shard="shard-000000.tar",
    error_median_px=0.5,
    error_p95_px=1.5,
    jitter_px=0.25,
    split="val",
    numbers=[4, 5],
    offsets=[0, 10_240, 20_480],
)


def test_the_manifest_comes_back(tmp_path: Path) -> None:
    write_manifest([TRACK], tmp_path)
    assert read_manifest(tmp_path) == [TRACK]
    assert pq.read_table(tmp_path / "manifest.parquet").column_names == [column.name for column in fields(ManifestRow)]


def test_rows_are_found_by_place_and_values_by_column_without_reading_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.ledger, "_ROWS_AT_A_TIME", 3)
    rows = [replace(TRACK, track=number, offsets=[0, 512 * number, 1024 * number]) for number in range(8)]
    write_manifest(rows, tmp_path)
    manifest = Manifest(tmp_path)
    assert len(manifest) == 8
    assert [manifest[place] for place in (7, 0, 3, 2, -1)] == [rows[place] for place in (7, 0, 3, 2, -1)]
    assert manifest[2:5] == rows[2:5]
    assert list(manifest) == rows
    assert manifest.column("track") == list(range(8))
    with pytest.raises(IndexError):
        manifest[8]


def test_the_ledger_comes_back(tmp_path: Path) -> None:
    rows = [
        LedgerRow.of("a.mp4", None, tracks=1, frames=12, seconds=0.5),
        LedgerRow.of("b.mp4", InputError(Reason.NO_FACE, "b.mp4: no face"), tracks=0, frames=0, seconds=0.1),
    ]
    write_ledger(rows, tmp_path)
    assert read_ledger(tmp_path) == rows
    columns = ["input", "status", "reason", "message", "tracks", "frames", "seconds", "tracking"]
    assert pq.read_table(tmp_path / "ledger.parquet").column_names == columns


@pytest.mark.parametrize(
    ("reason", "tracks", "status"),
    [
        (Reason.NO_FACE, 0, Status.SKIPPED),
        (Reason.TOO_SHORT, 0, Status.SKIPPED),
        (Reason.UNREADABLE, 0, Status.FAILED),
        (Reason.TRUNCATED, 0, Status.FAILED),
        (Reason.TRUNCATED, 2, Status.DONE),
    ],
)
def test_sound_files_without_a_face_are_skipped_broken_ones_fail_and_part_of_one_is_done(
    reason: Reason, tracks: int, status: Status
) -> None:
    row = LedgerRow.of("x", InputError(reason, "x: why"), tracks=tracks, frames=9 * tracks, seconds=0)
    assert (row.status, row.reason, row.message, row.frames) == (status, reason, "x: why", 9 * tracks)


def test_empty_tables_keep_their_columns(tmp_path: Path) -> None:
    write_manifest([], tmp_path)
    assert read_manifest(tmp_path) == []
    assert pq.read_table(tmp_path / "manifest.parquet").num_columns == len(fields(ManifestRow))


def test_a_file_name_that_is_not_utf8_has_its_row(tmp_path: Path) -> None:
    name = b"a\xff.mp4".decode("utf-8", "surrogateescape")
    write_ledger([LedgerRow.of(name, None, tracks=1, frames=2, seconds=0.5)], tmp_path)
    assert read_ledger(tmp_path)[0].input == r"a\udcff.mp4"


def test_a_missing_table_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"manifest.parquet: no readable table"):
        read_manifest(tmp_path)

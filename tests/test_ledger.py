"""Manifest and ledger: rows come back as they went in, with the columns that readers rely on."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputError, PipelineError, Reason
from pipeline.ledger import (
    LedgerRow,
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
    frames=12,
    shard="shard-000000.tar",
    error_median_px=0.5,
    error_p95_px=1.5,
)


def test_the_manifest_comes_back(tmp_path: Path) -> None:
    write_manifest([TRACK], tmp_path)
    assert read_manifest(tmp_path) == [TRACK]
    columns = ["identity", "video", "clip", "track", "frames", "shard", "error_median_px", "error_p95_px"]
    assert pq.read_table(tmp_path / "manifest.parquet").column_names == columns


def test_the_ledger_comes_back(tmp_path: Path) -> None:
    rows = [
        LedgerRow.done("a.mp4", tracks=1, frames=12, seconds=0.5),
        LedgerRow.rejected("b.mp4", InputError(Reason.NO_FACE, "b.mp4: no face"), seconds=0.1),
        LedgerRow.rejected("c.mp4", InputError(Reason.UNREADABLE, "c.mp4: damaged"), seconds=0.1),
    ]
    write_ledger(rows, tmp_path)
    assert read_ledger(tmp_path) == rows
    columns = ["input", "status", "reason", "message", "tracks", "frames", "seconds"]
    assert pq.read_table(tmp_path / "ledger.parquet").column_names == columns


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.NO_FACE, Status.SKIPPED),
        (Reason.TOO_SHORT, Status.SKIPPED),
        (Reason.UNREADABLE, Status.FAILED),
        (Reason.TRUNCATED, Status.FAILED),
    ],
)
def test_a_sound_file_without_a_face_is_skipped_and_a_broken_one_failed(reason: Reason, status: Status) -> None:
    row = LedgerRow.rejected("x", InputError(reason, "x: why"), seconds=0)
    assert (row.status, row.reason, row.message, row.frames) == (status, reason, "x: why", 0)


def test_empty_tables_keep_their_columns(tmp_path: Path) -> None:
    write_manifest([], tmp_path)
    assert read_manifest(tmp_path) == []
    assert pq.read_table(tmp_path / "manifest.parquet").num_columns == 8


def test_a_file_name_that_is_not_utf8_has_its_row(tmp_path: Path) -> None:
    write_ledger([LedgerRow.done(b"a\xff.mp4".decode("utf-8", "surrogateescape"), 1, 2, 0.5)], tmp_path)
    assert read_ledger(tmp_path)[0].input == r"a\udcff.mp4"


def test_a_missing_table_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"manifest.parquet: no readable table"):
        read_manifest(tmp_path)

"""The two tables of a dataset: what it holds (manifest, a row a track) and what became of each input (ledger)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import atomic_path
from pipeline.errors import InputError, PipelineError, Reason

MANIFEST = "manifest.parquet"
LEDGER = "ledger.parquet"
_ROWS_AT_A_TIME = 10_000

_MANIFEST_SCHEMA = pa.schema(
    [
        ("identity", pa.string()),
        ("video", pa.string()),
        ("clip", pa.string()),
        ("track", pa.int32()),
        ("frames", pa.int64()),
        ("shard", pa.string()),
        ("error_median_px", pa.float64()),
        ("error_p95_px", pa.float64()),
        ("jitter_px", pa.float64()),
        ("split", pa.string()),
        ("numbers", pa.list_(pa.int64())),
        ("offsets", pa.list_(pa.int64())),
    ]
)
_LEDGER_SCHEMA = pa.schema(
    [
        ("input", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("tracks", pa.int32()),
        ("frames", pa.int64()),
        ("seconds", pa.float64()),
        ("tracking", pa.float64()),
    ]
)


class Status(StrEnum):
    """How an input ended: with tracks, without any for want of a usable face in it, or by a fault of the file."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


_SKIPPED = {
    *(Reason.NOT_VIDEO, Reason.NO_FACE, Reason.SEVERAL_FACES),
    *(Reason.FACE_TOO_SMALL, Reason.FACE_ROLLED, Reason.TOO_SHORT),
}


def status_of(reason: Reason) -> Status:
    """How an input ended that gave nothing for this reason."""
    return Status.SKIPPED if reason in _SKIPPED else Status.FAILED


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One track of T frames.

    shard: file name. error_*: over all points and frames of the track, in pixels of its crops. jitter_px: mean size of
    the second difference of its vertices from frame to frame, x and y, in the same pixels; 0 for fewer than three.
    split: train, val or test. numbers: (T,) frame numbers. offsets: (T + 1,) bytes; sample i is all of the shard
    from offsets[i] up to offsets[i + 1].
    """

    identity: str
    video: str
    clip: str
    track: int
    frames: int
    shard: str
    error_median_px: float
    error_p95_px: float
    jitter_px: float
    split: str
    numbers: list[int]
    offsets: list[int]


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """One input.

    tracks, frames: how many of it are in the dataset. seconds: of work; tracking: of them on decoding and tracking, the
    rest went to cropping, fitting and writing.
    """

    input: str
    status: Status
    reason: Reason | None
    message: str
    tracks: int
    frames: int
    seconds: float
    tracking: float

    @classmethod
    def of(
        cls, path: str, fault: InputError | None, *, tracks: int, frames: int, seconds: float, tracking: float = 0.0
    ) -> LedgerRow:
        """What became of an input. A fault beside tracks is damage that ended the input early."""
        without = status_of(fault.reason) if fault else Status.FAILED
        return cls(
            input=path,
            status=Status.DONE if tracks else without,
            reason=fault.reason if fault else None,
            message=fault.message if fault else "",
            tracks=tracks,
            frames=frames,
            seconds=seconds,
            tracking=tracking,
        )


def write_manifest(rows: Iterable[ManifestRow], folder: Path) -> None:
    """Write `folder`/manifest.parquet, whole or not at all; of the rows few are held at a time."""
    write_rows((asdict(row) for row in rows), _MANIFEST_SCHEMA, folder / MANIFEST)


def read_manifest(folder: Path) -> list[ManifestRow]:
    """Rows in the order of the samples. Raises PipelineError where there is no manifest, or not of files beside it."""
    rows = [ManifestRow(**row) for row in read_rows(folder / MANIFEST)]
    check_shard_names(folder / MANIFEST, {row.shard for row in rows})
    return rows


def check_shard_names(manifest: Path, names: Iterable[str]) -> None:
    """Raise PipelineError for a name that leads out of the manifest's folder, whose shards are all that it may name."""
    for name in names:
        if name in ("", ".", "..") or {"/", "\\", "\0"} & set(name):
            raise PipelineError(f"{manifest}: names the shard {name!r}, which is no file of its folder; do not use it")


def write_ledger(rows: Iterable[LedgerRow], folder: Path) -> None:
    """Write `folder`/ledger.parquet, whole or not at all."""
    write_rows([asdict(row) for row in rows], _LEDGER_SCHEMA, folder / LEDGER)


def read_ledger(folder: Path) -> list[LedgerRow]:
    """Rows in the order of the inputs. Raises PipelineError where there is no ledger."""
    rows = read_rows(folder / LEDGER)
    return [
        LedgerRow(**{**row, "status": Status(row["status"]), "reason": row["reason"] and Reason(row["reason"])})
        for row in rows
    ]


def printable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 become `\\udcXX`, which Parquet and terminals can hold."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def write_rows(rows: Iterable[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    """Write a table, whole or not at all; texts become printable."""
    clean = ({name: printable(v) if isinstance(v, str) else v for name, v in row.items()} for row in rows)
    with atomic_path(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        while batch := list(islice(clean, _ROWS_AT_A_TIME)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read such a table. Raises PipelineError where there is none."""
    try:
        with path.open("rb") as file:
            return pq.read_table(file).to_pylist()
    except (OSError, pa.ArrowInvalid) as error:
        raise PipelineError(f"{path}: no readable table; is this a dataset that preprocess finished?") from error

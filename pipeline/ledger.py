"""The two tables of a dataset: what it holds (manifest, a row a track) and what became of each input (ledger)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import atomic_path
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.secrets import without_secrets

MANIFEST = "manifest.parquet"
LEDGER = "ledger.parquet"
_ROWS_AT_A_TIME = 2_000

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


@dataclass(frozen=True, kw_only=True, slots=True)
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


@dataclass(frozen=True, kw_only=True, slots=True)
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


class Manifest(Sequence[ManifestRow]):
    """The rows of `folder`/manifest.parquet in the order of the samples, read when they are asked for.

    A few thousand at a time are in memory: numbers and offsets of all would fill it. Of a row that is asked for by its
    place, its neighbours are read too, and kept until another is asked for that lies elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        """Raises PipelineError where there is no manifest, or one that names files elsewhere."""
        self._path = folder / MANIFEST
        with _table(self._path) as file:
            counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
            check_shard_names(self._path, file.read(columns=["shard"])["shard"].unique().to_pylist())
        self._starts = [0, *accumulate(counts)]
        self._held: tuple[int, pa.Table] | None = None

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(place)
        group = bisect_right(self._starts, number) - 1
        if self._held is None or self._held[0] != group:
            with _table(self._path) as file:
                self._held = group, file.read_row_group(group)
        (row,) = self._held[1].slice(number - self._starts[group], 1).to_pylist()
        return ManifestRow(**row)

    def __iter__(self) -> Iterator[ManifestRow]:
        return (ManifestRow(**row) for row in read_rows(self._path))

    def column(self, name: str) -> list[Any]:
        """One value of every row."""
        with _table(self._path) as file:
            return file.read(columns=[name])[name].to_pylist()


def write_manifest(rows: Iterable[ManifestRow], folder: Path) -> None:
    """Write `folder`/manifest.parquet, whole or not at all; of the rows few are held at a time."""
    write_rows(map(_cells, rows), _MANIFEST_SCHEMA, folder / MANIFEST)


def read_manifest(folder: Path) -> list[ManifestRow]:
    """All rows in the order of the samples. Raises PipelineError as `Manifest` does."""
    return list(Manifest(folder))


def check_shard_names(manifest: Path, names: Iterable[str]) -> None:
    """Raise PipelineError for a name that leads out of the manifest's folder, whose shards are all that it may name."""
    for name in names:
        if name in ("", ".", "..") or {"/", "\\", "\0"} & set(name):
            raise PipelineError(f"{manifest}: names the shard {name!r}, which is no file of its folder; do not use it")


def write_ledger(rows: Iterable[LedgerRow], folder: Path) -> None:
    """Write `folder`/ledger.parquet, whole or not at all."""
    write_rows(map(_cells, rows), _LEDGER_SCHEMA, folder / LEDGER)


def read_ledger(folder: Path) -> list[LedgerRow]:
    """Rows in the order of the inputs. Raises PipelineError where there is no ledger."""
    return [
        LedgerRow(**{**row, "status": Status(row["status"]), "reason": row["reason"] and Reason(row["reason"])})
        for row in read_rows(folder / LEDGER)
    ]


def printable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 become `\\udcXX`, which Parquet and terminals can hold.

    Secrets in a URL become `***`.
    """
    return without_secrets(name.encode("utf-8", "backslashreplace").decode("utf-8"))


def write_rows(rows: Iterable[dict[str, Any]], schema: pa.Schema, path: Path) -> None:
    """Write a table, whole or not at all; texts become printable."""
    clean = ({name: printable(v) if isinstance(v, str) else v for name, v in row.items()} for row in rows)
    with atomic_path(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        while batch := list(islice(clean, _ROWS_AT_A_TIME)):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of such a table, of which few are held at a time. Raises PipelineError where there is none."""
    with _table(path) as file:
        for batch in file.iter_batches(_ROWS_AT_A_TIME):
            yield from batch.to_pylist()


@contextmanager
def _table(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with path.open("rb") as file, pq.ParquetFile(file) as table:
            yield table
    except (OSError, pa.ArrowInvalid) as error:
        raise PipelineError(f"{path}: no readable table; is this a dataset that preprocess finished?") from error


def _cells(row: ManifestRow | LedgerRow) -> dict[str, Any]:
    """As `asdict` gives them, without a copy of each number."""
    return {name: getattr(row, name) for name in row.__slots__}

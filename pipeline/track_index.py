"""The manifest in columns: millions of tracks and where each of their samples lies, without an object a frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.keys import track_prefix
from pipeline.ledger import MANIFEST, check_shard_names

TAR_BLOCK = 512
"""Everything in a tar begins at a multiple of this many bytes."""

_LARGEST_BLOCK = np.iinfo(np.uint32).max
_ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """A column of N names, each stored once. codes: (N,) int32, number of the name. names: (K,), all that occur."""

    codes: NDArray[np.int32]
    names: pa.Array

    def __getitem__(self, row: int) -> str:
        return self.names[int(self.codes[row])].as_py()


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackIndex:
    """All N rows of a manifest, in its order.

    frames: (N,) int32. first: (N,) int64, where in `blocks` the row's offsets begin; it has frames + 1 of them.
    blocks: uint32, offsets in blocks of a tar, four bytes a frame: a shard may be 2 TiB large.
    """

    path: Path
    identity: Column
    video: Column
    clip: Column
    split: Column
    shard: Column
    track: NDArray[np.int32]
    frames: NDArray[np.int32]
    first: NDArray[np.int64]
    blocks: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.frames)

    def byte_range(self, row: int, frame: int) -> tuple[int, int]:
        """First byte of a sample in its shard, and the one after its last."""
        start, stop = self.blocks[self.first[row] + frame :][:2].tolist()
        return start * TAR_BLOCK, stop * TAR_BLOCK

    def prefix(self, row: int) -> str:
        """What the keys of all of the track's samples begin with."""
        return track_prefix(self.identity[row], self.video[row], self.clip[row], int(self.track[row]))


def read_track_index(folder: Path) -> TrackIndex:
    """Read `folder`/manifest.parquet, a few thousand rows of offsets at a time.

    Raises PipelineError where it cannot be read, or its offsets are no places of samples in a tar.
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            return _read(path, pq.ParquetFile(file))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise PipelineError(f"{path}: no readable manifest; is this a dataset that preprocess finished?") from error


def _read(path: Path, manifest: pq.ParquetFile) -> TrackIndex:
    names = ["identity", "video", "clip", "split", "shard"]
    table = manifest.read(columns=[*names, "track", "frames"])
    check_shard_names(path, table["shard"].unique().to_pylist())
    frames = _numbers(table["frames"], np.int32)
    bounds = np.concatenate([[0], np.cumsum(frames.astype(np.int64) + 1)])
    return TrackIndex(
        path=path,
        **{name: _column(table[name]) for name in names},
        track=_numbers(table["track"], np.int32),
        frames=frames,
        first=bounds[:-1],
        blocks=_read_blocks(path, manifest, bounds),
    )


def _read_blocks(path: Path, manifest: pq.ParquetFile, bounds: NDArray[np.int64]) -> NDArray[np.uint32]:
    blocks = np.empty(bounds[-1], np.uint32)
    row = 0
    for batch in manifest.iter_batches(_ROWS_AT_ONCE, columns=["offsets"]):
        lists = batch.column(0)
        start, row = row, row + len(lists)
        offsets = _numbers(lists.flatten(), np.int64)
        numbers, beyond = np.divmod(offsets, TAR_BLOCK)
        fits = not beyond.any() and (numbers >= 0).all() and (numbers <= _LARGEST_BLOCK).all()
        if not fits or not np.array_equal(_numbers(lists.value_lengths(), np.int64), np.diff(bounds[start : row + 1])):
            raise PipelineError(f"{path}: offsets of rows {start} to {row - 1} are not a tar's; run preprocess again")
        blocks[bounds[start] : bounds[row]] = numbers
    return blocks


def _column(column: pa.ChunkedArray) -> Column:
    coded = column.combine_chunks().dictionary_encode()
    return Column(codes=_numbers(coded.indices, np.int32), names=coded.dictionary)


def _numbers(column: pa.Array | pa.ChunkedArray, dtype: Any) -> NDArray[Any]:
    return column.to_numpy().astype(dtype, copy=False)

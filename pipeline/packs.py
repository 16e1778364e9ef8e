"""Many small results in few files, which are written once and never changed: a later pack counts before a former."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError
from pipeline.storage import tree

_OPEN = 3
"""Packs that are kept in memory: those who read one result after the other mostly stay in the same."""


class Packs:
    """The packs of a folder, by number. What it knows of them it learns once: one that others add later is not seen."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pack_of: dict[str, int] | None = None
        self._open: dict[int, dict[str, bytes]] = {}

    def add(self, results: Mapping[str, bytes]) -> None:
        """Write one more pack, whole or not at all. Raises PipelineError where it cannot be written."""
        number = 1 + max(self._numbers(), default=-1)
        columns = {"key": list(map(_as_bytes, results)), "result": list(results.values())}
        with atomic_path(self._path(number)) as partial:
            pq.write_table(pa.table(columns, schema=_SCHEMA), partial, compression="zstd", use_dictionary=False)
        if self._pack_of is not None:
            self._pack_of.update(dict.fromkeys(results, number))

    def get(self, key: str) -> bytes | None:
        """The latest result of a key. Raises PipelineError where a pack cannot be read."""
        if self._pack_of is None:
            self._pack_of = {key: number for number in sorted(self._numbers()) for (key,) in self._rows(number, "key")}
        number = self._pack_of.get(key)
        if number is None:
            return None
        if number not in self._open:
            while len(self._open) >= _OPEN:
                del self._open[next(iter(self._open))]
            self._open[number] = dict(self._rows(number, "key", "result"))
        return self._open[number][key]

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Every key with its latest result, in no order. Raises PipelineError where a pack cannot be read."""
        pack_of: dict[str, int] = {}
        for number in sorted(self._numbers(), reverse=True):
            for key, result in self._rows(number, "key", "result"):
                if key not in pack_of:
                    pack_of[key] = number
                    yield key, result
        self._pack_of = pack_of

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in tree(self._folder) if path.name[0] != "."]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.parquet"

    def _rows(self, number: int, *columns: str) -> Iterator[tuple]:
        path = self._path(number)
        try:
            with path.open("rb") as file:
                table = pq.read_table(file, columns=list(columns))
        except (OSError, pa.ArrowException) as error:
            raise PipelineError(f"{path}: cannot be read; delete it, and the run works its items out again") from error
        keys = (key.decode("utf-8", "surrogateescape") for key in table["key"].to_pylist())
        return zip(keys, *(table[name].to_pylist() for name in columns[1:]), strict=True)


_SCHEMA = pa.schema([("key", pa.binary()), ("result", pa.binary())])


def _as_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")

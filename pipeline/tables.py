"""Rows as people keep them: CSV with commas or tabs, any line ends, byte-order mark, spaces; JSONL; Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import PipelineError
from pipeline.storage import locate

ROW_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
"""What `read_rows` tells its three forms by."""


class Row(NamedTuple):
    """One row. line: counted from 1. cells: by heading. problem: why the cells are not to be trusted, if so."""

    line: int
    cells: dict[str, str]
    problem: str | None


def read_headings(path: str | Path) -> list[str]:
    """The headings of a table in lower case; none for an empty file. Raises PipelineError if it cannot be read."""
    return next(_lines(path), (1, []))[1]


def read_table(path: str | Path, *headings: str) -> Iterator[Row]:
    """The rows of a table that are not blank.

    headings: those that must be there, in any order and case. A table with a tab in its first line is separated by
    tabs. Bytes that are not UTF-8 survive as Python holds them, for file names may have them.
    Raises PipelineError if the file cannot be read or lacks one of the headings.
    """
    lines = _lines(path)
    found = next(lines, (1, []))[1]
    missing = [heading for heading in headings if heading not in found]
    if missing:
        raise PipelineError(f"{path}: no column {', '.join(missing)} in its first line")
    for line, cells in lines:
        miscounted = f"{len(cells)} cells under {len(found)} headings" if len(cells) != len(found) else None
        yield Row(line, dict(zip(found, cells, strict=False)), miscounted)


def read_rows(path: str | Path, *headings: str) -> Iterator[Row]:
    """The rows of a CSV, JSONL or Parquet file that has at least these columns, all cells as text.

    An empty cell and one without a value are both an empty text. A line of JSONL is counted as it lies in the file.
    Raises PipelineError if the file cannot be read or lacks one of the columns; a line of JSONL that lacks one is a row
    with a problem.
    """
    path = locate(path)
    match path.suffix.lower():
        case ".parquet":
            return _parquet_rows(path, headings)
        case ".jsonl":
            return _jsonl_rows(path, headings)
        case _:
            return read_table(path, *headings)


def _lines(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells; the first line in lower case."""
    try:
        with locate(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            delimiter = "\t" if "\t" in file.readline() else ","
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            for number, raw in enumerate(reader):
                cells = [cell.strip() for cell in raw]
                if any(cells):
                    yield reader.line_num, cells if number else [cell.lower() for cell in cells]
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror or error})") from error
    except csv.Error as error:
        raise PipelineError(f"{path}: not a table ({error})") from error


def _parquet_rows(path: Path, headings: tuple[str, ...]) -> Iterator[Row]:
    try:
        with path.open("rb") as content, pq.ParquetFile(content) as file:
            missing = [heading for heading in headings if heading not in file.schema_arrow.names]
            if missing:
                raise PipelineError(f"{path}: no column {', '.join(missing)}")
            line = 0
            for batch in file.iter_batches():
                for cells in batch.to_pylist():
                    line += 1
                    yield _as_text(line, cells)
    except (OSError, pa.ArrowException) as error:
        raise PipelineError(f"{path}: not a readable Parquet file") from error


def _jsonl_rows(path: Path, headings: tuple[str, ...]) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for line, text in enumerate(file, 1):
                if text.strip():
                    yield _json_row(line, text, headings)
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror or error})") from error


def _json_row(line: int, text: str, headings: tuple[str, ...]) -> Row:
    try:
        cells = json.loads(text)
    except (ValueError, RecursionError):
        return Row(line, {}, "not JSON")
    if not isinstance(cells, dict) or not cells.keys() >= set(headings):
        return Row(line, {}, f"not a JSON object with {' and '.join(f'a {heading}' for heading in headings)}")
    return _as_text(line, cells)


def _as_text(line: int, cells: dict[str, Any]) -> Row:
    """Cells as a table of text would hold them, so that one reading serves all forms."""
    odd = [name for name, value in cells.items() if not isinstance(value, (str, int, float, NoneType))]
    texts = {name: "" if value is None else str(value) for name, value in cells.items()}
    return Row(line, texts, f"{', '.join(odd)}: neither text nor number" if odd else None)

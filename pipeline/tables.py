"""Rows of tables as people keep them: commas or tabs, any line ends, a byte-order mark, spaces around the cells."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import PipelineError


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


def _lines(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells; the first line in lower case."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            delimiter = "\t" if "\t" in file.readline() else ","
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter)
            for number, raw in enumerate(reader):
                cells = [cell.strip() for cell in raw]
                if any(cells):
                    yield reader.line_num, cells if number else [cell.lower() for cell in cells]
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror})") from error
    except csv.Error as error:
        raise PipelineError(f"{path}: not a table ({error})") from error

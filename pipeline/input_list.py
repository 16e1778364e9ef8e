"""Inputs that a list names: a CSV, JSONL or Parquet file with a row a clip.

Columns: `path` (relative to the list's folder), and as wanted `identity`, `video`, `clip`, `start`, `end` (seconds of
the video) and `split` (train, test or val). A known layout says who and which video it is; the list's columns say so
for other files, and the file's own stem where a cell is empty, or its path where others of that identity have the stem.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import Fault, InputError, Reason
from pipeline.layouts import SPLITS, Layout, Names, known_names, plain_names, shared_stems
from pipeline.media import find_media, kind_of, stem_of
from pipeline.records import Clip, Kind, Span
from pipeline.storage import is_url, join, locate
from pipeline.tables import ROW_SUFFIXES, read_rows

LIST_SUFFIXES = ROW_SUFFIXES

_SPLITS = {**SPLITS, "val": "val"}


@dataclass(frozen=True)
class Listed:
    """What a list names. repeated: rows left out because they say the same as one before."""

    clips: list[Clip]
    faults: list[Fault]
    repeated: int


def read_list(path: str | Path, layout: Layout = "auto") -> Listed:
    """The clips of a list, in its order.

    Rows that repeat one before are merged; of rows that name one clip and differ, the first holds.
    Raises PipelineError if the list cannot be read or has no column `path`.
    """
    path = locate(path)
    faults: list[Fault] = []
    first: dict[tuple[str, str, str], tuple[int, Clip]] = {}
    repeated = 0
    kinds, shared = _kinds_on_store(path), _shared_stems(path)
    for line, cells, problem in read_rows(path, "path"):
        try:
            if problem:
                raise InputError(Reason.BAD_ANNOTATION, problem)
            clip = _clip(path.parent, cells, layout, kinds, shared)
            line_before, before = first.setdefault((clip.identity, clip.video, clip.clip), (line, clip))
            if before != clip:
                again = f"{clip.identity}/{clip.video}/{clip.clip} of line {line_before} again, with other values"
                raise InputError(Reason.BAD_ANNOTATION, again)
            repeated += line_before != line
        except InputError as error:
            faults.append(Fault(path=str(path), line=line, reason=error.reason, problem=error.message))
    clips = [replace(clip, annotation=f"{path}:{line}") for line, clip in first.values()]
    return Listed(clips, faults, repeated)


def _kinds_on_store(path: Path) -> dict[str, Kind]:
    """What lies on a store around the files of a list: one listing of the folder they share, not a request for each."""
    names = (name for row in read_rows(path, "path") if (name := row.cells.get("path")))
    urls = [url for url in (join(path.parent, name) for name in names) if is_url(url)]
    shared = os.path.commonprefix(urls).rpartition("/")[0]  # noqa: RUF071, which is the last whole part of it
    if not is_url(f"{shared}/") or shared.endswith("/"):  # none, or of several buckets
        return {}
    return {f"{shared}/{place}": kind for place, kind in find_media(shared) if kind}


def _shared_stems(path: Path) -> dict[str, set[str]]:
    """By the identity that a list gives or not, the stems that say not enough: see `shared_stems`."""
    places: dict[str, set[tuple[str, Kind]]] = {}
    for row in read_rows(path, "path"):
        places.setdefault(row.cells.get("identity", ""), set()).add((row.cells.get("path", ""), Kind.VIDEO))
    return {identity: shared_stems(of_one) for identity, of_one in places.items()}


def _place(folder: Path, cell: str, shared: Collection[str]) -> str:
    """What names are made of: the path below the list's folder; of one that lies elsewhere, the end that is needed."""
    if not is_url(cell) and not os.path.isabs(cell):
        return cell
    base = str(folder) if is_url(str(folder)) else os.path.abspath(folder)
    if cell.startswith(f"{base}/"):
        return cell.removeprefix(f"{base}/")
    name = cell.rpartition("/")[2]
    return cell.rpartition("://")[2].lstrip("/") if stem_of(name, Kind.VIDEO) in shared else name


def _clip(
    folder: Path, cells: dict[str, str], layout: Layout, kinds: dict[str, Kind], shared: dict[str, set[str]]
) -> Clip:
    """Raises InputError, saying what is wrong with the row."""
    if not cells["path"]:
        raise InputError(Reason.BAD_ANNOTATION, "path is empty")
    file = locate(join(folder, cells["path"]))
    kind = kinds.get(str(file)) or kind_of(file)
    if kind is None and file.is_dir():
        raise InputError(Reason.NOT_VIDEO, f"{file} is a folder without frames or meshes")
    if kind is None:
        raise InputError(Reason.MISSING_VIDEO, f"{file} is not there")
    stems = shared.get(cells.get("identity", ""), set())
    plain = plain_names(file, _place(folder, cells["path"], stems), kind, stems)
    known = known_names(file, kind, layout)
    names = known or Names(cells.get("identity") or plain.identity, cells.get("video") or plain.video, *plain[2:])
    span, clip = _span(cells), cells.get("clip")
    if span and not clip:
        clip = f"{names.clip}#{cells.get('start', '')}-{cells.get('end', '')}"
    split = cells.get("split")
    if split and split.lower() not in _SPLITS:
        raise InputError(Reason.BAD_ANNOTATION, f"split is {split!r}, not one of {', '.join(_SPLITS)}")
    return Clip(
        path=str(file),
        identity=names.identity,
        video=names.video,
        clip=clip or names.clip,
        kind=kind,
        span=span,
        split=_SPLITS[split.lower()] if split else names.split,
    )


def _span(cells: dict[str, str]) -> Span | None:
    start, end = cells.get("start"), cells.get("end")
    if not start and not end:
        return None
    try:
        span = Span(float(start or 0), float(end or math.inf))
    except ValueError:
        span = Span(math.nan, math.nan)
    if not 0 <= span.start < span.end:
        raise InputError(Reason.BAD_ANNOTATION, f"start {start!r} and end {end!r} are not seconds in this order")
    return span

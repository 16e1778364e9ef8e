"""Published annotations of VoxCeleb: which part of which upload shows whom, and where in the picture.

Two forms are read: `vox-metadata.csv` of AliaksandrSiarohin/video-preprocessing (a row a clip, one box), and the text
files of VoxCeleb1 and VoxCeleb2 (a file an utterance, a box a frame). Boxes count in the original uploads, never in the
face crops that some sets hand out instead.
What cannot be used is left out and named; the rest is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import Fault, PipelineError, Reason
from pipeline.layouts import SPLITS, known_names
from pipeline.media import suffix_of
from pipeline.records import Boxes, Span
from pipeline.storage import locate, tree
from pipeline.tables import read_headings, read_table

METADATA_COLUMNS = ("video_id", "start", "end", "bbox", "fps", "width", "height", "partition", "person_id")
_SIDES = re.compile(r"(-?\d+)-(-?\d+)-(-?\d+)-(-?\d+)", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_TXT_FPS = 25.0
"""Text files count frames at this rate, whatever the upload has."""


class _Size(NamedTuple):
    """Of the picture in which boxes are measured, as in `Boxes`."""

    width: float | None
    height: float


_FRACTIONS = _Size(1.0, 1.0)
_VOX1_SIZE = _Size(None, 360.0)


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One clip of an upload. split: train, test or None. path, line: what says so; see `Fault`."""

    identity: str
    video: str
    clip: str
    split: str | None
    span: Span
    boxes: Boxes
    path: str
    line: int | None

    @property
    def place(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True)
class Annotations:
    """What annotation files say. repeated: rows left out because they say the same as one before."""

    clips: list[Annotation]
    faults: list[Fault]
    repeated: int = 0


def is_annotation(path: str | Path) -> bool:
    """Whether a file is of one of the two forms, by its suffix and headings.

    Raises PipelineError if it cannot be read.
    """
    suffix = suffix_of(path)
    return suffix == ".txt" or (suffix in (".csv", ".tsv") and set(METADATA_COLUMNS) <= set(read_headings(path)))


def read_annotations(path: str | Path) -> Annotations:
    """A `vox-metadata.csv`, one text file, or a folder of them. Raises PipelineError where none of these is there."""
    path = locate(path)
    if path.is_dir():
        texts = sorted(file for file in tree(path) if file.suffix == ".txt")
        if not texts:
            raise PipelineError(f"{path}: no annotation (*.txt) in this folder")
        return read_texts(texts)
    return read_texts([path]) if suffix_of(path) == ".txt" else read_metadata(path)


class _Box(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int


class _MetadataRow(NamedTuple):
    person: str
    video: str
    start: int
    end: int
    box: _Box
    fps: float
    width: float
    height: float
    split: str

    @property
    def clip(self) -> str:
        """The clip as the published tool names its file."""
        return f"{self.start:06d}#{self.end:06d}"


def read_metadata(path: str | Path) -> Annotations:
    """The rows of a `vox-metadata.csv`.

    Rows that repeat one before are merged; of rows that name one clip and differ, the first holds. Boxes may reach
    past the picture, as hundreds do in the published file: `Boxes` cuts them off. Whether the upload is as long as a
    row says, and there at all, is not known here.
    Raises PipelineError if the file cannot be read or lacks a column.
    """
    faults: list[Fault] = []
    first: dict[tuple[str, str, str], tuple[int, _MetadataRow]] = {}
    repeated = 0
    for line, cells, problem in read_table(path, *METADATA_COLUMNS):
        try:
            if problem:
                raise ValueError(problem)
            row = _metadata_row(cells)
            line_before, before = first.setdefault((row.person, row.video, row.clip), (line, row))
            if before != row:
                other = [name for name, old, new in zip(row._fields, before, row, strict=True) if old != new]
                raise ValueError(f"the clip of line {line_before} again, with another {', '.join(other)}")
            repeated += line_before != line
        except ValueError as error:
            faults.append(Fault(path=str(path), line=line, reason=Reason.BAD_ANNOTATION, problem=str(error)))
    return Annotations([_annotation(row, str(path), line) for line, row in first.values()], faults, repeated)


def _metadata_row(cells: dict[str, str]) -> _MetadataRow:
    """Raises ValueError, saying what is wrong with the row."""
    sides = _SIDES.fullmatch(cells["bbox"])
    if not sides:
        raise ValueError(f"bbox is {cells['bbox']!r}, not left-top-right-bottom")
    row = _MetadataRow(
        person=_name(cells, "person_id"),
        video=_name(cells, "video_id"),
        start=_whole(cells, "start"),
        end=_whole(cells, "end"),
        box=_Box(*map(int, sides.groups())),
        fps=_positive(cells, "fps"),
        width=_positive(cells, "width"),
        height=_positive(cells, "height"),
        split=_split(cells, "partition"),
    )
    if row.end <= row.start:
        raise ValueError(f"end {row.end} is not after start {row.start}")
    if row.box.left >= row.box.right or row.box.top >= row.box.bottom:
        raise ValueError(f"bbox {cells['bbox']} is empty: its sides are left-top-right-bottom")
    if row.box.right <= 0 or row.box.bottom <= 0 or row.box.left >= row.width or row.box.top >= row.height:
        raise ValueError(f"bbox {cells['bbox']} is outside the {row.width:g}x{row.height:g} picture")
    return row


def _annotation(row: _MetadataRow, path: str, line: int) -> Annotation:
    span = Span.of_frames(row.start, row.end, row.fps)
    return Annotation(
        identity=row.person,
        video=row.video,
        clip=row.clip,
        split=row.split,
        span=span,
        boxes=Boxes(
            times=np.array([row.start / row.fps]),
            sides=np.array([row.box], np.float32),
            width=row.width,
            height=row.height,
        ),
        path=path,
        line=line,
    )


def _name(cells: dict[str, str], column: str) -> str:
    if not cells[column]:
        raise ValueError(f"{column} is empty")
    return cells[column]


def _whole(cells: dict[str, str], column: str) -> int:
    if not _WHOLE.fullmatch(cells[column]):
        raise ValueError(f"{column} is {cells[column]!r}, not a whole number")
    return int(cells[column])


def _positive(cells: dict[str, str], column: str) -> float:
    value = float(cells[column]) if _NUMBER.fullmatch(cells[column]) else 0.0
    if value <= 0:
        raise ValueError(f"{column} is {cells[column]!r}, not a number above 0")
    return value


def _split(cells: dict[str, str], column: str) -> str:
    if cells[column].lower() not in SPLITS:
        raise ValueError(f"{column} is {cells[column]!r}, not one of {', '.join(SPLITS)}")
    return SPLITS[cells[column].lower()]


def read_texts(paths: Iterable[str | Path]) -> Annotations:
    """Text files of VoxCeleb, an utterance each, read by `read_text`; of two that name one clip the first holds."""
    faults: list[Fault] = []
    first: dict[tuple[str, str, str], Annotation] = {}
    for path in paths:
        clip, faults_of_rows = read_text(path)
        faults += faults_of_rows
        if clip is None:
            continue
        before = first.setdefault((clip.identity, clip.video, clip.clip), clip)
        if before is not clip:
            problem = f"the clip of {before.place} again"
            faults.append(Fault(path=str(path), line=None, reason=Reason.BAD_ANNOTATION, problem=problem))
    return Annotations(list(first.values()), faults)


def read_text(path: str | Path) -> tuple[Annotation | None, list[Fault]]:
    """The utterance that a text file of VoxCeleb1 or 2 describes, and the rows of it that cannot be used.

    The file's head says the person and the upload, its name the clip. Boxes with a decimal point are fractions of
    width and height (VoxCeleb2), others pixels at a height of 360 (VoxCeleb1). Frames that are left out between two
    rows belong to the clip; no clip comes back where no row is usable.
    """
    faults: list[Fault] = []

    def leave_out(line: int | None, problem: str) -> None:
        faults.append(Fault(path=str(path), line=line, reason=Reason.BAD_ANNOTATION, problem=problem))

    try:
        lines = locate(path).read_text("utf-8-sig", "replace").split("\n")
    except OSError as error:
        leave_out(None, f"cannot be read ({error.strerror})")
        return None, faults
    head = next((number for number, line in enumerate(lines) if line.startswith("FRAME")), len(lines))
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines[:head])}
    if not said.get("Identity") or not said.get("Reference"):
        leave_out(None, "no Identity and Reference in its head; not a text file of VoxCeleb")
        return None, faults
    size = _FRACTIONS if any("." in line for line in lines[head + 1 :]) else _VOX1_SIZE
    rows: list[_TextRow] = []
    for number, line in enumerate(lines[head + 1 :], head + 2):
        if not line.strip():
            continue
        try:
            row = _text_row(line, size)
            if rows and row.frame <= rows[-1].frame:
                raise ValueError(f"frame {row.frame} after frame {rows[-1].frame}")
            rows.append(row)
        except ValueError as error:
            leave_out(number, str(error))
    if not rows:
        leave_out(None, "no usable row in it; the clip is left out")
        return None, faults
    return _utterance(path, said["Identity"], said["Reference"], rows, size), faults


class _TextRow(NamedTuple):
    frame: int
    sides: tuple[float, float, float, float]  # left, top, right, bottom


def _text_row(line: str, size: _Size) -> _TextRow:
    """Raises ValueError, saying what is wrong with the row."""
    fields = line.replace(",", " ").split()
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} of the 5 numbers FRAME X Y W H")
    try:
        frame, (x, y, w, h) = int(fields[0]), map(float, fields[1:])
    except ValueError:
        raise ValueError(f"not the numbers FRAME X Y W H: {' '.join(fields)}") from None
    if frame < 0 or not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        raise ValueError(f"not a frame and a box: {' '.join(fields)}")
    if x + w <= 0 or y + h <= 0 or y >= size.height or (size.width and x >= size.width):
        raise ValueError(f"the box is outside the picture: {' '.join(fields)}")
    return _TextRow(frame, (x, y, x + w, y + h))


def _utterance(path: str | Path, identity: str, video: str, rows: list[_TextRow], size: _Size) -> Annotation:
    names = known_names(path, None)
    return Annotation(
        identity=identity,
        video=video,
        clip=locate(path).stem,
        split=names.split if names else None,
        span=Span.of_frames(rows[0].frame, rows[-1].frame + 1, _TXT_FPS),
        boxes=Boxes(
            times=np.array([row.frame for row in rows]) / _TXT_FPS,
            sides=np.array([row.sides for row in rows], np.float32),
            width=size.width,
            height=size.height,
        ),
        path=str(path),
        line=None,
    )

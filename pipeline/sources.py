"""Where clips come from: a file, a folder, a published set or a list -> clips."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.annotations import Annotations, is_annotation, read_annotations, read_texts
from pipeline.errors import Fault, PipelineError, Reason
from pipeline.input_list import LIST_SUFFIXES, read_list
from pipeline.layouts import Layout, Names, check_layout, known_names, plain_names, shared_stems, utterance_place
from pipeline.media import Found, find_media, kind_of, suffix_of
from pipeline.people import is_table_of_people, read_people
from pipeline.records import Clip, Kind
from pipeline.storage import locate
from pipeline.uploads import cut_uploads, find_uploads


@dataclass(frozen=True)
class Scan:
    """What an input holds; looping over it gives the clips.

    faults: what was left out, and why. notes: what was mended, a line each.
    """

    clips: list[Clip]
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def __len__(self) -> int:
        return len(self.clips)


def scan(path: str | Path, layout: Layout = "auto", metadata: str | Path | None = None) -> Scan:
    """The clips of an input; no video is opened.

    path: a video, a still, a folder with a clip in it, or a tree of them (sorted by path; `media` says what counts);
    or a list (`input_list`); or annotations of uploads near them. In a tree, utterances of VoxCeleb whose text files
    have no face crop beside them are cut out of their uploads (`uploads`); an upload that is cut is no clip itself.
    layout: where the names come from; see `layouts`. Where two clips of a tree would have the same names, each one's
    clip is its path.
    metadata: annotations to cut out of the uploads at `path`, instead of what else lies there: `vox-metadata.csv`, a
    text file of VoxCeleb or a folder of them, which bring their names; or a table of people, which says their splits.
    Raises PipelineError if a file cannot be read, or if there is nothing.
    """
    check_layout(layout)
    path = locate(path)
    if not path.exists():
        raise PipelineError(f"{path}: no such file or folder")
    if metadata is None:
        found = _inputs(path, layout)
    elif locate(metadata).is_file() and is_table_of_people(metadata):
        found = _with_splits(_inputs(path, layout), metadata)
    else:
        found = _annotated(path, read_annotations(metadata))
    if not found.clips and not found.faults:
        raise PipelineError(f"{path}: no video, still, folder of frames or row of a list in it")
    return found


def clip_of(file: str | Path) -> Clip:
    """The clip that a file is by itself, whatever lies around it."""
    kind = kind_of(file) or Kind.VIDEO
    return _clip(file, kind, plain_names(file, locate(file).name, kind))


def _inputs(path: Path, layout: Layout) -> Scan:
    if path.is_dir():
        return _tree(path, layout)
    if is_annotation(path):
        return _annotated(path, read_annotations(path))
    if suffix_of(path) in LIST_SUFFIXES:
        listed = read_list(path, layout)
        return Scan(listed.clips, listed.faults, _notes(listed.repeated, 0))
    kind = kind_of(path) or Kind.VIDEO
    names = known_names(path, kind, layout) or plain_names(path, path.name, kind)
    return Scan([_clip(path, kind, names)])


def _tree(root: Path, layout: Layout) -> Scan:
    found = sorted(find_media(root), key=lambda found: found.place)
    media = [(place, kind) for place, kind in found if kind is not None]
    clips, faults = _named(root, media, layout)
    cut = _annotated(root, read_texts(_texts_of_uploads(root, found, layout)))
    uploads = {clip.path for clip in cut}
    clips = [(place, clip) for place, clip in clips if clip.path not in uploads]
    clips += [(os.path.relpath(str(clip.annotation), str(root)).replace(os.sep, "/"), clip) for clip in cut]
    clips.sort(key=lambda place_and_clip: place_and_clip[0])
    return Scan(_distinct(clips), faults + cut.faults, cut.notes)


def _named(root: Path, media: Iterable[tuple[str, Kind]], layout: Layout) -> tuple[list[tuple[str, Clip]], list[Fault]]:
    """The inputs of a tree with their path in it, and a fault for each that the layout has no place for."""
    clips: list[tuple[str, Clip]] = []
    plain: list[tuple[str, Kind]] = []
    for place, kind in media:
        names = known_names(root / place, kind, layout)
        if names is None:
            plain.append((place, kind))
        else:
            clips.append((place or root.absolute().name, _clip(root / place, kind, names)))
    if layout not in ("auto", "plain"):
        problem = f"lies where the layout {layout} has no clip; try auto or plain"
        return clips, [
            Fault(path=str(root / place), line=None, reason=Reason.BAD_ANNOTATION, problem=problem)
            for place, _ in plain
        ]
    shared = shared_stems(plain)
    for place, kind in plain:
        path, place = root / place, place or root.absolute().name
        clips.append((place, _clip(path, kind, plain_names(path, place, kind, shared))))
    return clips, []


def _texts_of_uploads(root: Path, found: Iterable[Found], layout: Layout) -> list[Path]:
    """Text files of VoxCeleb whose utterance has no face crop beside it."""
    texts = [place for place, kind in found if kind is None]
    cropped = {utterance_place(place) for place, kind in found if kind is not None} if texts else set()
    texts = [place for place in texts if utterance_place(place) not in cropped]
    return [root / place for place in texts if known_names(root / place, None, layout)]


def _annotated(root: Path, annotations: Annotations) -> Scan:
    uploads = find_uploads(root) if annotations.clips else {}
    clips, missing = cut_uploads(annotations.clips, uploads)
    past = sum(clip.boxes.reaching_past() for clip in clips if clip.boxes)
    return Scan(clips, annotations.faults + missing, _notes(annotations.repeated, past))


def _with_splits(found: Scan, table: str | Path) -> Scan:
    people, faults = read_people(table)
    clips = [replace(clip, split=people.get(clip.identity, clip.split)) for clip in found]
    return Scan(clips, found.faults + faults, found.notes)


def _clip(path: str | Path, kind: Kind, names: Names) -> Clip:
    return Clip(path=str(path), kind=kind, **names._asdict())


def _distinct(clips: list[tuple[str, Clip]]) -> list[Clip]:
    """Clips that share their names with another get their path as the name of the clip."""
    shared = Counter((clip.identity, clip.video, clip.clip) for _, clip in clips)
    return [
        replace(clip, clip=place) if shared[clip.identity, clip.video, clip.clip] > 1 else clip for place, clip in clips
    ]


def _notes(repeated: int, past: int) -> list[str]:
    notes = [f"rows merged that say the same as one before: {repeated}"] if repeated else []
    return notes + ([f"boxes that reach past the picture, cut off there: {past}"] if past else [])

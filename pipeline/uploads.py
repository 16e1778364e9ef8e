"""Annotations and the uploads they speak of -> clips."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.annotations import Annotation
from pipeline.errors import Fault, Reason
from pipeline.media import find_media, stem_of
from pipeline.records import Clip, Kind

RAW = "raw"
"""What the folder of uploads is called beside a published set."""


def find_uploads(root: Path) -> dict[str, str]:
    """Id of an upload -> its file: a video named so below `root`, or below the nearest folder `raw` above it.

    Of several files with one id, those below `root` come first, then the first by path.
    """
    above = next((folder / RAW for folder in root.absolute().parents if (folder / RAW).is_dir()), None)
    uploads: dict[str, str] = {}
    for folder in (root, above):
        if folder is not None and folder.is_dir():
            videos = sorted(found.place for found in find_media(folder) if found.kind == Kind.VIDEO)
            for place in videos:
                uploads.setdefault(stem_of(place, Kind.VIDEO), str(folder / place))
    return uploads


def cut_uploads(annotations: Iterable[Annotation], uploads: dict[str, str]) -> tuple[list[Clip], list[Fault]]:
    """The annotated clips, in their order, and a fault for every upload that is missing."""
    clips: list[Clip] = []
    missing: dict[str, list[Annotation]] = {}
    for annotation in annotations:
        if annotation.video in uploads:
            clips.append(_clip(annotation, uploads[annotation.video]))
        else:
            missing.setdefault(annotation.video, []).append(annotation)
    return clips, [_missing(video, wanting) for video, wanting in missing.items()]


def _clip(annotation: Annotation, path: str) -> Clip:
    return Clip(
        path=path,
        identity=annotation.identity,
        video=annotation.video,
        clip=annotation.clip,
        span=annotation.span,
        boxes=annotation.boxes,
        split=annotation.split,
        annotation=annotation.place,
    )


def _missing(video: str, wanting: list[Annotation]) -> Fault:
    first, others = wanting[0], len(wanting) - 1
    problem = f"no video {video} below the input or a folder {RAW} above it" + (
        f"; {others} more want it" if others else ""
    )
    return Fault(path=first.path, line=first.line, reason=Reason.MISSING_VIDEO, problem=problem)

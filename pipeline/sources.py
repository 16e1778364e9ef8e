"""Where clips come from: files and folders -> clips."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.records import Clip

VIDEO_SUFFIXES = frozenset(
    (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv")
)
"""What counts as a video in a folder, in any case; a file that is named itself may have any suffix."""


def scan(path: str | Path) -> list[Clip]:
    """Clips of one file, or of every video below a folder, sorted by their path in it.

    A clip's names follow from its path relative to the folder alone: identity and video are the file's stem, clip is
    the relative path, so that two files of the same stem stay apart.
    Raises PipelineError if nothing is there, or no video.
    """
    root = Path(path)
    if root.is_file():
        return [clip_of(root)]
    if not root.is_dir():
        raise PipelineError(f"{path}: no such file or folder")
    files = [found for found in root.rglob("*") if found.suffix.lower() in VIDEO_SUFFIXES and found.is_file()]
    if not files:
        raise PipelineError(f"{path}: no video in this folder (looked for {', '.join(sorted(VIDEO_SUFFIXES))})")
    return sorted((clip_of(found, root) for found in files), key=lambda clip: clip.clip)


def clip_of(file: str | Path, root: str | Path | None = None) -> Clip:
    """The clip that a file holds; `root` is the folder it was found under."""
    file = Path(file)
    relative = file.relative_to(root) if root is not None else Path(file.name)
    return Clip(path=str(file), identity=file.stem, video=file.stem, clip=relative.as_posix())

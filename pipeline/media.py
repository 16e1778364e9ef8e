"""What counts as an input: videos, stills and folders of frames, told apart by name and structure.

- A file is a video or a still by its suffix, in any case; whether the suffix lies, its decoder finds out.
- A file without a suffix is what its first bytes say; an empty one is nothing.
- A folder that holds `*_posed_vertx.lz4` is one clip, a training folder of the original.
- A folder that is named like a video and holds neither videos nor folders is one clip, a picture a frame.
- Everything else lies beside the inputs: sound, annotations, documents, and whatever has a name with a leading dot.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.gdpw_folder import VERTICES_SUFFIX
from pipeline.records import Kind
from pipeline.storage import locate, walk, whole_name

VIDEO_SUFFIXES = frozenset(
    (".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv")
)
PICTURE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))

_HEAD_BYTES = 12
_SIGNATURES = (  # where the bytes lie, what they are, whose they are
    (4, b"ftyp", Kind.VIDEO),
    (0, b"\x1a\x45\xdf\xa3", Kind.VIDEO),  # Matroska, WebM
    (8, b"AVI ", Kind.VIDEO),
    (0, b"GIF8", Kind.VIDEO),
    (8, b"WEBP", Kind.PICTURE),
    (0, b"\xff\xd8\xff", Kind.PICTURE),  # JPEG
    (0, b"\x89PNG", Kind.PICTURE),
)


class Found(NamedTuple):
    """Something in a tree. place: its path from the root of the tree, with slashes; empty for the root itself.

    kind: None for a text file, which may be an annotation.
    """

    place: str
    kind: Kind | None


def find_media(root: str | Path) -> Iterator[Found]:
    """Every input and every `.txt` in a folder, in no order. Links to folders are not followed."""
    root = str(root)
    for folder, subfolders, files in walk(root):
        relative = os.path.relpath(folder, root).replace(os.sep, "/")
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files = [name for name in files if not name.startswith(".")]
        kind = _folder_kind(folder, subfolders, files)
        if kind:
            subfolders.clear()
            yield Found("" if relative == "." else relative, kind)
            continue
        for name in files:
            kind = file_kind(os.path.join(folder, name))
            if kind or name.endswith(".txt"):
                yield Found(name if relative == "." else f"{relative}/{name}", kind)


def kind_of(path: str | Path) -> Kind | None:
    """What a path is that somebody names himself: a file of any suffix is a video unless it is a still.

    None for a folder that is no clip, and where there is nothing.
    """
    path = locate(path)
    if path.is_file():
        return file_kind(path) or Kind.VIDEO
    if not path.is_dir():
        return None
    return next((_folder_kind(*found) for found in walk(path)), None)


def file_kind(path: str | Path) -> Kind | None:
    """Whether a file is a video, a still or neither."""
    suffix = suffix_of(path)
    if suffix in VIDEO_SUFFIXES:
        return Kind.VIDEO
    if suffix in PICTURE_SUFFIXES:
        return Kind.PICTURE
    return None if suffix else _kind_by_content(path)


def stem_of(path: str | Path, kind: Kind) -> str:
    """The name of a file or folder, without its suffix; a training folder has none."""
    name = os.path.basename(whole_name(path))
    return name if kind == Kind.GDPW_FOLDER else os.path.splitext(name)[0]


def suffix_of(path: str | Path) -> str:
    return os.path.splitext(str(path))[1].lower()


def _folder_kind(folder: str, subfolders: list[str], files: list[str]) -> Kind | None:
    if any(name.endswith(VERTICES_SUFFIX) for name in files):
        return Kind.GDPW_FOLDER
    named_so = suffix_of(whole_name(folder)) in VIDEO_SUFFIXES
    if named_so and not subfolders and not any(suffix_of(name) in VIDEO_SUFFIXES for name in files):
        return Kind.FRAMES
    return None


def _kind_by_content(path: str | Path) -> Kind | None:
    try:
        with locate(path).open("rb", buffering=_HEAD_BYTES) as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    return next((kind for at, mark, kind in _SIGNATURES if head[at : at + len(mark)] == mark), None)

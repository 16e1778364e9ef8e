"""One file out of a zip archive."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pipeline.errors import PipelineError

_LARGEST = 1 << 30
"""Bytes, unpacked: twenty times a FLAME file."""


def file_names(archive: Path) -> set[str]:
    """The names of the files in a zip archive, without their folders; empty if it is none."""
    try:
        with zipfile.ZipFile(archive) as content:
            return {PurePosixPath(name).name for name in content.namelist()}
    except zipfile.BadZipFile:
        return set()


def extract(archive: Path, file: str, target: Path) -> None:
    """Write the one member of the zip `archive` that is called `file`, in whatever folder, to `target`.

    No path in the archive is followed. Raises PipelineError if it is damaged, or has no or several such members.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if PurePosixPath(member.filename).name == file]
            if len(members) != 1:
                raise PipelineError(f"{archive}: has {len(members) or 'no'} files {file}, expected one")
            if members[0].file_size > _LARGEST:
                raise PipelineError(f"{archive}: {file} in it is too large to be the one expected")
            with content.open(members[0]) as packed, target.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise PipelineError(f"{archive}: not a zip archive, damaged or encrypted") from error

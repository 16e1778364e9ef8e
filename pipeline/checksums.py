"""SHA-256 of files, and what a folder notes of its own in `SHA256SUMS`, in the form of `sha256sum`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError

CHECKSUMS = "SHA256SUMS"
"""A file in a folder of assets: what was added, as it was then."""


def digest_of(path: Path) -> str:
    """The SHA-256 of a file. Raises PipelineError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror or error})") from error


def noted_digest(path: Path) -> str | None:
    """What is noted of a file beside it; None where nothing is."""
    return _notes(path.with_name(CHECKSUMS)).get(path.name)


def note_digest(path: Path, digest: str) -> None:
    """Note it beside the file, in place of what was noted before. Raises PipelineError if that cannot be written."""
    checksums = path.with_name(CHECKSUMS)
    notes = _notes(checksums) | {path.name: digest}
    with atomic_path(checksums) as partial:
        partial.write_text("".join(f"{notes[name]}  {name}\n" for name in sorted(notes)), encoding="utf-8")


def _notes(checksums: Path) -> dict[str, str]:
    """File name -> SHA-256."""
    if not checksums.is_file():
        return {}
    lines = (line.split(maxsplit=1) for line in checksums.read_text(encoding="utf-8").splitlines())
    return {line[1]: line[0] for line in lines if len(line) == 2}

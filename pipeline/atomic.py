"""A file appears whole or not at all, in a folder and on an object store."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.errors import PipelineError, Reason
from pipeline.storage import is_remote, locate, upload


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A local file to write, which becomes `path` when the block ends well, and is removed when it does not.

    In a folder it is a temporary name beside `path`, which begins with a dot; missing folders are made. For a store it
    lies where Python's `tempfile` puts it (TMPDIR), and is then uploaded and compared (`storage.upload`). The name
    keeps the suffix, by which writers choose a format.
    Raises PipelineError if the folder cannot be made or the file cannot take its place.
    """
    path = locate(path)
    try:
        with _uploaded(path) if is_remote(path) else _renamed(path) as partial:
            yield partial
    except OSError as error:
        raise PipelineError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _renamed(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    finally:
        with suppress(OSError):  # the folder itself may be no folder
            partial.unlink(missing_ok=True)


@contextmanager
def _uploaded(path: Path) -> Iterator[Path]:
    with TemporaryDirectory(prefix="upload-") as folder:
        partial = Path(folder) / f"partial{path.suffix}"
        yield partial
        upload(partial, path)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written by `atomic_path`, in the folder and all below it.

    On a store nothing is ever half written.
    """
    if is_remote(folder):
        return
    for partial in folder.rglob(".*.partial*"):
        partial.unlink(missing_ok=True)


def why_not_written(error: BaseException) -> Reason:
    """Whether it was for want of space that something could not be written."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return Reason.DISK_FULL
        cause = cause.__cause__ or cause.__context__
    return Reason.UNWRITABLE

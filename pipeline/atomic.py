"""A file appears whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import PipelineError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`; renamed to it when the block ends well, removed when it does not.

    The name keeps the suffix, by which writers choose a format, and begins with a dot. Missing folders are made.
    Raises PipelineError if the folder cannot be made or the file cannot take its place.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise PipelineError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # the folder itself may be no folder
            partial.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written by `atomic_path`, in the folder and all below it."""
    for partial in folder.rglob(".*.partial*"):
        partial.unlink(missing_ok=True)

"""Where commands may write: checked before the work, not after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError, Reason

if TYPE_CHECKING:  # the command line imports this file, and pyarrow would keep its help waiting
    from pipeline.ledger import LedgerRow
    from pipeline.pieces import Pieces
    from pipeline.render_ledger import RenderRow


class MisuseError(PipelineError):
    """A command called in a way that cannot be right; exit code 2."""


def new_file(path: Path, suffix: str, *, overwrite: bool) -> None:
    """Check a file to be written.

    Raises MisuseError if it is there and may not be replaced or has another suffix, PipelineError if it cannot be
    written.
    """
    if path.suffix.lower() != suffix:
        raise MisuseError(f"{path}: give it a name that ends in {suffix}")
    if path.is_dir():
        raise MisuseError(f"{path}: a folder, not a file; name a file in it")
    if path.exists() and not overwrite:
        raise MisuseError(f"{path}: exists already; --overwrite replaces it")
    _try_to_write(path)


def new_folder(path: Path) -> None:
    """Make the folder. Raise MisuseError if something is in it, PipelineError if nothing can be written there."""
    if path.is_dir() and any(path.iterdir()):
        raise MisuseError(f"{path}: not empty; choose a new folder or delete it")
    if path.exists() and not path.is_dir():
        raise MisuseError(f"{path}: a file, not a folder; choose a new folder")
    _try_to_write(path / "dataset")


def resumed_folder(path: Path, config: Mapping[str, Any]) -> Pieces:
    """Make the folder, or go on in one that a run with the same options has begun.

    config: the options that decide what is written, as JSON holds them.
    Raise MisuseError, with the difference, if they are other ones, and if something else is in the folder.
    """
    from pipeline.pieces import OtherConfigError, Pieces

    pieces = Pieces(path)
    if not pieces.begun:
        new_folder(path)
    try:
        pieces.begin(config)
    except OtherConfigError as error:
        raise MisuseError(str(error)) from None
    return pieces


def refuse_full_disk(row: LedgerRow | RenderRow) -> None:
    """Raise PipelineError where a worker found the disk full: its input has not failed, but waits for room."""
    if row.reason == Reason.DISK_FULL:
        raise PipelineError(f"{row.message}; make room, and the same command goes on")


def _try_to_write(path: Path) -> None:
    with atomic_path(path.with_name(f"{path.name}.probe")) as probe:
        probe.touch()
    path.with_name(f"{path.name}.probe").unlink()

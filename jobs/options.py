"""What the commands share: types of arguments, options, and the switch for tracebacks."""

from __future__ import annotations

from pathlib import Path

import click

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
ANY_PATH = click.Path(path_type=Path)


class Debug:
    """Whether faults show their traceback: what `--debug` leaves behind for `main`."""

    wanted = False


def _remember(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    debug = context.ensure_object(Debug)
    debug.wanted = debug.wanted or wanted


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_remember, help="Show the traceback of a fault."
)
face_model_option = click.option(
    "--face-model",
    type=EXISTING_FILE,
    help="FLAME's generic_model.pkl, or an .npz of the same arrays.  [default: the generic head]",
)
size_option = click.option(
    "--size",
    type=click.IntRange(64, 768),
    default=256,
    show_default=True,
    help="Side of the pictures in pixels.",
)

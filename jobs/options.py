"""What the commands share: types of arguments, options, and the switch for tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

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
tracker_option = click.option(
    "--tracker",
    type=click.Choice(["mediapipe", "face-alignment"]),
    default="mediapipe",
    show_default=True,
    help="Whose landmarks: MediaPipe's 478, or the original's 68 of S3FD and 2D-FAN, an extra of this package.",
)
size_option = click.option(
    "--size",
    type=click.IntRange(64, 768),
    default=256,
    show_default=True,
    help="Side of the pictures in pixels.",
)


def fit_options(*, smooth: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of the fit; the command gets them as `fit`, a settled FitConfig, and stderr says what it settled on.

    smooth: whether the command has --smooth; without, the fitter's own way is taken.
    """
    options = [
        click.option(
            "--fitter",
            type=click.Choice(["auto", "deca", "landmarks", "deca+landmarks"]),
            default="auto",
            show_default=True,
            help="What finds the head; auto is deca where its files are found ('gdpw-pipe assets'), else landmarks.",
        ),
        click.option(
            "--shape",
            type=click.Choice(["frame", "track"]),
            help="A head shape for each frame, or one for a track.  [default: frame for deca, else track]",
        ),
        face_model_option,
    ]
    if smooth:
        kinds = click.Choice(["none", "one-euro", "optimise"])
        text = "How codes are steadied over a track.  [default: none for deca, else optimise]"
        options.append(click.option("--smooth", type=kinds, help=text))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_fit(*, fitter: Any, shape: Any, face_model: Path | None, **others: Any) -> None:
            from pipeline.fit import FitConfig

            steadied = others.pop("smooth") if smooth else None
            try:
                config = FitConfig(fitter=fitter, shape=shape, smooth=steadied, face_model=face_model)
                settled, text = config.settled(), config.described()
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            click.echo(text, err=True)
            command(fit=settled, **others)

        for option in reversed(options):
            with_fit = option(with_fit)
        return with_fit

    return decorate

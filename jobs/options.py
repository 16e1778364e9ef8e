"""What the commands share: types of arguments, options, and the switch for tracebacks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from pipeline.errors import PipelineError


class _PathOrUrl(click.Path):
    """What click takes for a path, or a URL of an object store; see `pipeline.storage`."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        from pipeline.storage import check, is_remote, is_url, locate

        if not isinstance(value, str) or not is_url(value):
            return super().convert(value, parameter, context)
        try:
            path = locate(value)
        except PipelineError as error:
            self.fail(str(error), parameter, context)
        if not is_remote(path):
            return super().convert(str(path), parameter, context)
        if self.exists:
            check(path)
            if not (self.dir_okay if path.is_dir() else self.file_okay):
                self.fail(f"{value} is a {'folder' if path.is_dir() else 'file'}.", parameter, context)
        return path


EXISTING_FILE = _PathOrUrl(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = _PathOrUrl(exists=True, file_okay=False, path_type=Path)
EXISTING = _PathOrUrl(exists=True, path_type=Path)
ANY_PATH = _PathOrUrl(path_type=Path)
LOCAL_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
"""For what is read on this machine alone, such as settings."""


_FITTER = "gdpw-pipe.fitter"
"""Where a command's context keeps what `say_fitter` is to say."""


class Debug:
    """Whether faults show their traceback: what `--debug` leaves behind for `main`."""

    wanted = False


def _remember(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    debug = context.ensure_object(Debug)
    debug.wanted = debug.wanted or wanted


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_remember, help="Show the traceback of a fault."
)
address_option = click.option(
    "--address", help="A Ray cluster that runs: auto, or HOST:PORT from one of its nodes.  [default: this machine]"
)
cpus_option = click.option(
    "--cpus",
    type=click.IntRange(min=1),
    help="CPUs to use, of the whole cluster.  [default: all, of nodes that join later too]",
)
face_model_option = click.option(
    "--face-model",
    type=LOCAL_FILE,
    help="FLAME's generic_model.pkl, or an .npz of the same arrays.  [default: the generic head]",
)
log_option = click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append a line of JSON for each input to this file: run, input, what became of it, seconds, reason.",
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


def say_fitter() -> None:
    """Tell on stderr, once, what a command's fit settled on: work starts, what it was given can be used."""
    context = click.get_current_context(silent=True)
    if context and (text := context.meta.pop(_FITTER, None)):
        click.echo(text, err=True)


def fit_options(*, smooth: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of the fit; the command gets them as `fit`, a settled FitConfig. Its job calls `say_fitter`.

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
            click.get_current_context().meta[_FITTER] = text
            command(fit=settled, **others)

        for option in reversed(options):
            with_fit = option(with_fit)
        return with_fit

    return decorate

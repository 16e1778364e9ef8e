"""gdpw-pipe: options -> config -> run. Faults are one line on stderr; exit code 2 means misuse, 1 failure."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from fit_deca.errors import FaceModelError
from gdpw.errors import CheckpointError
from jobs.outputs import MisuseError
from pipeline.catalogue import CATALOGUE
from pipeline.errors import PipelineError

MISUSE, FAILURE, INTERRUPTED = 2, 1, 130

Command = Callable[..., Any]

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)
ANY_PATH = click.Path(path_type=Path)
ASSET = click.Choice(list(CATALOGUE))


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


@click.group(invoke_without_command=True)
@click.version_option(package_name="gdpw-pipe", prog_name="gdpw-pipe")
@debug_option
@click.pass_context
def cli(context: click.Context) -> None:
    """Talking-head video to FLAME-annotated shards, and portraits that move as the faces in videos do."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command()
@click.argument("input", type=EXISTING)
@click.argument("out", type=ANY_PATH)
@size_option
@face_model_option
@debug_option
def preprocess(input: Path, out: Path, size: int, face_model: Path | None) -> None:
    """Fit a head to the faces in INPUT, a video or a folder of videos, and write OUT.

    OUT is a new folder of WebDataset shards with manifest.parquet (a row a track) and ledger.parquet (a row an input).
    """
    from jobs.preprocess import PreprocessConfig, run
    from pipeline.crop import CropConfig
    from pipeline.fit import FitConfig

    crop, fit = CropConfig(size=size), FitConfig(face_model=face_model)
    click.echo(run(PreprocessConfig(input=input, out=out, crop=crop, fit=fit)))


@cli.command()
@click.argument("source", type=EXISTING_FILE)
@click.argument("driving", type=EXISTING_FILE)
@click.argument("out", type=ANY_PATH)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option(
    "--layout",
    type=click.Choice(["result", "panels"]),
    default="result",
    show_default=True,
    help="The result alone, or source, result and driving side by side.",
)
@click.option(
    "--checkpoint",
    type=EXISTING_FILE,
    help="GDPW's weights, a released PWM_*.pth or ours.  [default: mesh-warp, the model without weights]",
)
@click.option(
    "--rasterizer",
    type=click.Choice(["torch", "nvdiffrast"]),
    default="torch",
    show_default=True,
    help="What draws the mesh for --checkpoint; nvdiffrast needs an NVIDIA GPU and is for non-commercial use.",
)
@size_option
@face_model_option
@debug_option
def reenact(
    source: Path,
    driving: Path,
    out: Path,
    overwrite: bool,
    layout: str,
    checkpoint: Path | None,
    rasterizer: Literal["torch", "nvdiffrast"],
    size: int,
    face_model: Path | None,
) -> None:
    """Make the portrait SOURCE move as the face in the video DRIVING does; write the video OUT (.mp4)."""
    from jobs.reenact import ReenactConfig, run
    from pipeline.crop import CropConfig
    from pipeline.fit import FitConfig
    from pipeline.models import ModelConfig

    config = ReenactConfig(
        source=source,
        driving=driving,
        out=out,
        overwrite=overwrite,
        panels=layout == "panels",
        crop=CropConfig(size=size),
        fit=FitConfig(face_model=face_model),
        model=ModelConfig(checkpoint=checkpoint, rasterizer=rasterizer),
    )
    click.echo(run(config))


@cli.command()
@click.argument("checkpoint", type=EXISTING_FILE)
@click.argument("out", type=ANY_PATH)
@click.option(
    "--format",
    type=click.Choice(["pth", "safetensors"]),
    default="pth",
    show_default=True,
    help="The layout of GDPW's released files, or the generator alone with its settings.",
)
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@debug_option
def export(checkpoint: Path, out: Path, format: Literal["pth", "safetensors"], overwrite: bool) -> None:
    """Write the weights in CHECKPOINT as OUT, in a form that other programs read."""
    from jobs.export import ExportConfig, run

    click.echo(run(ExportConfig(checkpoint=checkpoint, out=out, format=format, overwrite=overwrite)))


@cli.command()
@click.option(
    "--out", type=ANY_PATH, default=Path("demo"), show_default=True, help="Folder; a former demo is replaced."
)
@debug_option
def demo(out: Path) -> None:
    """Preprocess a clip and animate a portrait, with footage that Python packages ship."""
    from jobs.demo import run

    click.echo(run(out))


@cli.command()
@debug_option
def doctor() -> None:
    """Say what is found and usable on this machine, and what to do."""
    from jobs.doctor import examine, report, usable

    checks = examine()
    click.echo(report(checks))
    if not usable(checks):
        raise click.exceptions.Exit(FAILURE)


@cli.group(invoke_without_command=True)
@click.pass_context
def assets(context: click.Context) -> None:
    """Files of others (FLAME, DECA, GDPW, VGG-19): say what is here, check it, add or fetch more."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@assets.command()
@click.argument("names", nargs=-1, metavar="[ASSET]...", type=ASSET)
@debug_option
def status(names: tuple[str, ...]) -> None:
    """Say of each ASSET, or of all, what it is, its licence, its checksum and where it is found."""
    from jobs.assets import status

    click.echo(status(names))


@assets.command()
@click.argument("names", nargs=-1, metavar="[ASSET]...", type=ASSET)
@debug_option
def verify(names: tuple[str, ...]) -> None:
    """Load each ASSET, or all that are found, as the commands would."""
    from jobs.assets import verify

    verify(names, click.echo)


@assets.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE_OR_FOLDER...", type=EXISTING)
@click.option("--as", "name", type=ASSET, help="Which asset it is, where that cannot be seen.")
@debug_option
def add(paths: tuple[Path, ...], name: str | None) -> None:
    """Check files, or all that are found in a folder, and copy them to where every command finds them.

    They go to the folder GDPW_ASSETS, by default gdpw-pipe in your cache. FLAME's zip archive may stay packed.
    """
    from jobs.assets import add

    add(paths, name, click.echo)


@assets.command()
@click.argument("names", nargs=-1, required=True, metavar="ASSET...", type=ASSET)
@click.option("--url", help="Another address than the published one.")
@click.option("--sha256", help="What the file there must have.  [default: the published checksum]")
@debug_option
def fetch(names: tuple[str, ...], url: str | None, sha256: str | None) -> None:
    """Download each ASSET that is not found here; a download that broke off goes on where it ended.

    'gdpw-pipe assets status' lists their names.

    FLAME needs your login of flame.is.tue.mpg.de: it is asked for, or read from GDPW_FLAME_USER and
    GDPW_FLAME_PASSWORD, and never kept.
    """
    from jobs.assets import fetch_all

    fetch_all(names, url, sha256, click.echo)


def main() -> NoReturn:
    """The console script."""
    debug = Debug()
    try:
        sys.exit(cli.main(prog_name="gdpw-pipe", standalone_mode=False, obj=debug))
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "gdpw-pipe"
        _fail(f"{error.format_message()} See '{command} --help'.", MISUSE)
    except MisuseError as error:
        _fail(str(error), MISUSE)
    except (PipelineError, FaceModelError, CheckpointError, OSError) as error:
        if debug.wanted:
            traceback.print_exc()
        _fail(str(error), FAILURE)
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except Exception as error:
        if debug.wanted:
            raise
        _fail(f"unexpected {type(error).__name__}: {error}; --debug shows where", FAILURE)


def _fail(message: str, code: int) -> NoReturn:
    print(f"gdpw-pipe: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()

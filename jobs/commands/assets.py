"""Files of others: found, checked, added, fetched."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.options import EXISTING, debug_option
from pipeline.catalogue import CATALOGUE

ASSET = click.Choice(list(CATALOGUE))


@click.group(invoke_without_command=True)
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

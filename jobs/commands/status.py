"""How far a run is."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.options import EXISTING_FOLDER, debug_option


@click.command()
@click.argument("out", type=EXISTING_FOLDER)
@debug_option
def status(out: Path) -> None:
    """Say how far the run of preprocess or render that writes OUT is; it may go on meanwhile."""
    from jobs.status import run

    click.echo(run(out))

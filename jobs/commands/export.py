"""Weights for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from jobs.options import ANY_PATH, EXISTING_FILE, debug_option


@click.command()
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

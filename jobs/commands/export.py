"""Weights and datasets for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from jobs.options import ANY_PATH, EXISTING, debug_option


@click.command()
@click.argument("source", type=EXISTING)
@click.argument("out", type=ANY_PATH)
@click.option(
    "--format",
    type=click.Choice(["pth", "safetensors", "gdpw"]),
    default="pth",
    show_default=True,
    help="Of a checkpoint, the layout of GDPW's released files, or the generator alone with its settings; of a dataset,"
    " the folders that GDPW trains from.",
)
@click.option("--overwrite", is_flag=True, help="Replace the file OUT if it exists.")
@debug_option
def export(source: Path, out: Path, format: Literal["pth", "safetensors", "gdpw"], overwrite: bool) -> None:
    """Write SOURCE as OUT, in a form that other programs read: a checkpoint as a file, a dataset as a new folder."""
    if source.is_dir() != (format == "gdpw"):
        raise click.UsageError(f"--format {format} is for a {'dataset' if format == 'gdpw' else 'checkpoint'}.")
    if format == "gdpw":
        from jobs import export_folders

        config = export_folders.ExportFoldersConfig(dataset=source, out=out)
        click.echo(export_folders.run(config))
    else:
        from jobs import export as export_weights

        weights = export_weights.ExportConfig(checkpoint=source, out=out, format=format, overwrite=overwrite)
        click.echo(export_weights.run(weights))

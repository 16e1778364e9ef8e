"""What a dataset holds and how good it is."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.options import EXISTING_FOLDER, LOCAL_FILE, debug_option


@click.command()
@click.argument("dataset", type=EXISTING_FOLDER)
@click.option(
    "--face-model",
    type=LOCAL_FILE,
    help="The FLAME file that DATASET was made with, if any: its triangles are drawn then, not just its points.",
)
@debug_option
def inspect(dataset: Path, face_model: Path | None) -> None:
    """Say what DATASET holds and how good it is, and write report.html there: one file that needs only a browser."""
    from jobs.inspect import InspectConfig, run

    click.echo(run(InspectConfig(dataset=dataset, face_model=face_model)))

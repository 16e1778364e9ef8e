"""The main job on footage that packages ship."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.options import ANY_PATH, debug_option


@click.command()
@click.option(
    "--out", type=ANY_PATH, default=Path("demo"), show_default=True, help="Folder; a former demo is replaced."
)
@debug_option
def demo(out: Path) -> None:
    """Preprocess a clip and animate a portrait, with footage that Python packages ship."""
    from jobs.demo import run

    click.echo(run(out))

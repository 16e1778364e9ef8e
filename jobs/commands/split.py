"""Who of a dataset is for training, validation and testing."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.options import EXISTING, EXISTING_FOLDER, debug_option

SHARE = click.FloatRange(0, 1)


@click.command()
@click.argument("dataset", type=EXISTING_FOLDER)
@click.option("--val", type=SHARE, default=0.05, show_default=True, help="Share of the people to validate with.")
@click.option("--test", type=SHARE, default=0.05, show_default=True, help="Share of the people to test with.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another one draws other people.")
@click.option(
    "--list",
    "people",
    type=EXISTING,
    help="Take the parts from this file instead: VoxCeleb's table of people, vox-metadata.csv, a folder of its text"
    " files, or a table with columns identity and split.",
)
@debug_option
def split(dataset: Path, val: float, test: float, seed: int, people: Path | None) -> None:
    """Divide the people in DATASET anew into train, val and test.

    Only the column split of its manifest changes. A person, and whoever shares a video with him, is in one part; which
    one follows from the name alone.
    """
    from jobs.split import SplitJobConfig, run
    from pipeline.split import SplitConfig

    if val + test > 1:
        raise click.UsageError("--val and --test are more than everybody")
    click.echo(run(SplitJobConfig(dataset=dataset, shares=SplitConfig(val=val, test=test, seed=seed), people=people)))

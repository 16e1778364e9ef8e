"""Videos in, a dataset out."""

from __future__ import annotations

from pathlib import Path

import click

from jobs.options import ANY_PATH, EXISTING, debug_option, face_model_option, size_option


@click.command()
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

"""One portrait moved by one video."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from jobs.options import ANY_PATH, EXISTING_FILE, debug_option, face_model_option, size_option


@click.command()
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

"""What a model is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jobs.options import (
    ANY_PATH,
    EXISTING_FILE,
    EXISTING_FOLDER,
    address_option,
    cpus_option,
    debug_option,
    fit_options,
)


@click.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
@click.argument("dataset", type=EXISTING_FOLDER)
@click.argument("out", type=ANY_PATH)
@click.option(
    "--split",
    type=click.Choice(["test", "val", "train", "all"]),
    default="test",
    show_default=True,
    help="The part of the dataset.",
)
@click.option("--limit", type=click.IntRange(1), help="Drivers at most, drawn by --seed.  [default: all]")
@click.option("--frames", type=click.IntRange(4), default=50, show_default=True, help="Of each driver, at most.")
@click.option(
    "--pairs", type=EXISTING_FILE, help="A table with columns source and driving, tracks as jobs.csv names them."
)
@click.option("--size", type=click.IntRange(64, 768), help="Side of the pictures in pixels.  [default: the dataset's]")
@click.option(
    "--perceptual-step",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    help="Networks (LPIPS, FID, CSIM) look at every so manieth frame, 0 is none.",
)
@click.option("--export", is_flag=True, help="Write OUT/pairs: all sources and drivers, for other programs.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of pairs, limit and intervals.")
@click.option(
    "--rasterizer",
    type=click.Choice(["torch", "nvdiffrast"]),
    default="torch",
    show_default=True,
    help="What draws the mesh for a checkpoint; nvdiffrast needs an NVIDIA GPU and is for non-commercial use.",
)
@click.option("--retry", type=click.Choice(["failed"]), help="Try jobs again that failed before.")
@address_option
@cpus_option
@fit_options(smooth=False)
@debug_option
def evaluate(models: tuple[str, ...], dataset: Path, out: Path, **options: Any) -> None:
    """Judge each MODEL on a part of DATASET, and add it to the table in the folder OUT.

    MODEL is a checkpoint (a released PWM_*.pth or ours), the folder of a training run, mesh-warp, copy-source, which
    shows the source whatever drives, or a folder of result videos, named as OUT/jobs.csv says, with .mp4. LABEL=MODEL
    says what the table calls it. Models may come in one call or, with the same OUT, in several; a run that was stopped
    goes on where it ended.

    OUT/metrics.json has the means with 95 % intervals and the differences of each two models, OUT/per_video.parquet a
    row a video, OUT/report.html shows both, and results side by side.
    """
    from jobs.evaluate import EvaluateRunConfig, run
    from pipeline.models import ModelConfig

    retry, rasterizer = options.pop("retry"), options.pop("rasterizer")
    config = EvaluateRunConfig(
        models=models,
        dataset=dataset,
        out=out,
        execution=ModelConfig(rasterizer=rasterizer),
        retry_failed=retry == "failed",
        **options,
    )
    click.echo(run(config))

"""A face moved by another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jobs.animation_options import animation_options, animation_settings
from jobs.options import ANY_PATH, debug_option


@click.command()
@click.argument("source")
@click.argument("driving")
@click.argument("out", type=ANY_PATH, default="face_reenact_demo_video.mp4")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option("--frames", type=ANY_PATH, metavar="DIR", help="A new folder for the pictures as PNG.")
@click.option("--codes", type=ANY_PATH, metavar="FILE", help="An .npz for what the source does; it drives other faces.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="How long to record a camera.  [default: until Ctrl-C]",
)
@animation_options
@debug_option
def reenact(source: str, driving: str, out: Path, **options: Any) -> None:
    """Make the face SOURCE move as the face DRIVING does; write the video OUT, an .mp4 (by default
    face_reenact_demo_video.mp4).

    SOURCE is a picture, a moment of a video (clip.mp4@3.2s) or a frame of a dataset
    (DATASET::identity/video/clip[/track][@frame]). Of several faces the largest is taken.

    DRIVING is a video, a folder of pictures, a picture, the number of a camera, an .npz that edit or --codes wrote, or
    tracks of a dataset (DATASET::identity/video/clip[/track]), whose stored codes save the fit.
    """
    from jobs.reenact import ReenactConfig, run

    own = {name: options[name] for name in ("overwrite", "frames", "codes", "seconds")}
    click.echo(run(ReenactConfig(source=source, driving=driving, out=out, **own, **animation_settings(options))))

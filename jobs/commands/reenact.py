"""A face moved by another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jobs.options import ANY_PATH, EXISTING_FILE, debug_option, face_model_option, size_option

KEPT = click.Choice(["shape", "expression", "pose", "eyes", "camera"])


@click.command()
@click.argument("source")
@click.argument("driving")
@click.argument("out", type=ANY_PATH, default="face_reenact_demo_video.mp4")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@click.option(
    "--layout",
    type=click.Choice(["result", "panels"]),
    default="result",
    show_default=True,
    help="The result alone, or source, result and driving side by side.",
)
@click.option("--paste-back", is_flag=True, help="Set the result back into the source's whole picture.")
@click.option(
    "--keep",
    multiple=True,
    type=KEPT,
    default=["shape"],
    show_default=True,
    help="What stays the source's; all else is the driver's. May be given several times.",
)
@click.option(
    "--relative",
    type=click.Choice(["off", "first", "neutral"]),
    default="off",
    show_default=True,
    help="Add to the source's own face how the driver's differs from that in his first or most neutral frame.",
)
@click.option(
    "--smooth",
    type=click.Choice(["one-euro", "none"]),
    default="one-euro",
    show_default=True,
    help="Steady expression, pose and camera.",
)
@click.option(
    "--on-missing",
    type=click.Choice(["hold", "skip", "stop"]),
    default="hold",
    show_default=True,
    help="Where the driver has no face: show the frame before, leave the frame out, or end with an error.",
)
@click.option(
    "--audio",
    type=click.Choice(["driving", "none"]),
    default="driving",
    show_default=True,
    help="The sound of the result.",
)
@click.option("--frames", type=ANY_PATH, help="A new folder for the pictures as PNG.")
@click.option("--codes", type=ANY_PATH, help="An .npz for what the source does; it drives other faces.")
@click.option("--tag/--no-tag", default=True, help="Whether the file says that it is synthetic media.")
@click.option(
    "--encoder",
    type=click.Choice(["auto", "libx264", "h264_nvenc", "h264_videotoolbox"]),
    default="auto",
    show_default=True,
    help="What writes H.264; auto is hardware that works here, else libx264.",
)
@click.option(
    "--model",
    type=click.Choice(["mesh-warp", "gdpw"]),
    help="The model without weights, or GDPW.  [default: gdpw with --checkpoint, else mesh-warp]",
)
@click.option("--checkpoint", type=EXISTING_FILE, help="GDPW's weights, a released PWM_*.pth or ours.")
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
def reenact(source: str, driving: str, out: Path, **options: Any) -> None:
    """Make the face SOURCE move as the face DRIVING does; write the video OUT (.mp4).

    SOURCE is a picture, a moment of a video (clip.mp4@3.2s) or a frame of a dataset
    (DATASET::identity/video/clip[/track][@frame]). Of several faces the largest is taken.

    DRIVING is a video, a folder of pictures, a picture, the number of a camera, an .npz that edit or --codes wrote, or
    tracks of a dataset (DATASET::identity/video/clip[/track]).
    """
    from jobs.reenact import ReenactConfig, run
    from pipeline.crop import CropConfig
    from pipeline.encode import EncodeConfig
    from pipeline.fit import FitConfig
    from pipeline.models import ModelConfig
    from pipeline.reenactment import FollowConfig
    from pipeline.transfer import TransferConfig

    transfer = TransferConfig(keep=frozenset(options["keep"]), relative=options["relative"], smooth=options["smooth"])
    config = ReenactConfig(
        source=source,
        driving=driving,
        out=out,
        overwrite=options["overwrite"],
        panels=options["layout"] == "panels",
        paste_back=options["paste_back"],
        sound=options["audio"] == "driving",
        frames=options["frames"],
        codes=options["codes"],
        crop=CropConfig(size=options["size"]),
        fit=FitConfig(face_model=options["face_model"]),
        model=ModelConfig(name=options["model"], checkpoint=options["checkpoint"], rasterizer=options["rasterizer"]),
        follow=FollowConfig(transfer=transfer, on_missing=options["on_missing"]),
        encode=EncodeConfig(encoder=options["encoder"], synthetic=options["tag"]),
    )
    click.echo(run(config))

"""What the commands that animate share: how the result looks, what moves it, which model draws it."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import click

from jobs.options import EXISTING_FILE, fit_options, size_option

KEPT = click.Choice(["shape", "expression", "pose", "eyes", "camera"])

_OPTIONS = (
    click.option(
        "--layout",
        type=click.Choice(["result", "panels"]),
        default="result",
        show_default=True,
        help="The result alone, or source, result and driving side by side.",
    ),
    click.option("--paste-back", is_flag=True, help="Set the result back into the source's whole picture."),
    click.option(
        "--keep",
        multiple=True,
        type=KEPT,
        default=["shape"],
        show_default=True,
        help="What stays the source's; all else is the driver's. May be given several times.",
    ),
    click.option(
        "--relative",
        type=click.Choice(["off", "first", "neutral"]),
        default="off",
        show_default=True,
        help="Add to the source's own face how the driver's differs from that in his first or most neutral frame.",
    ),
    click.option(
        "--smooth",
        type=click.Choice(["one-euro", "none"]),
        default="one-euro",
        show_default=True,
        help="Steady expression, pose and camera.",
    ),
    click.option(
        "--on-missing",
        type=click.Choice(["hold", "skip", "stop"]),
        default="hold",
        show_default=True,
        help="Where the driver has no face: show the frame before, leave the frame out, or end with an error.",
    ),
    click.option(
        "--audio",
        type=click.Choice(["driving", "none"]),
        default="driving",
        show_default=True,
        help="The sound of the result.",
    ),
    click.option("--tag/--no-tag", default=True, help="Whether the file says that it is synthetic media."),
    click.option(
        "--encoder",
        type=click.Choice(["auto", "libx264", "h264_nvenc", "h264_videotoolbox"]),
        default="auto",
        show_default=True,
        help="What writes H.264; auto is hardware that works here, else libx264.",
    ),
    click.option(
        "--model",
        type=click.Choice(["mesh-warp", "gdpw"]),
        help="The model without weights, or GDPW.  [default: gdpw with --checkpoint, else mesh-warp]",
    ),
    click.option("--checkpoint", type=EXISTING_FILE, help="GDPW's weights, a released PWM_*.pth or ours."),
    click.option(
        "--rasterizer",
        type=click.Choice(["torch", "nvdiffrast"]),
        default="torch",
        show_default=True,
        help="What draws the mesh for --checkpoint; nvdiffrast needs an NVIDIA GPU and is for non-commercial use.",
    ),
    click.option(
        "--execution",
        type=click.Choice(["eager", "compiled", "graphed"]),
        default="eager",
        show_default=True,
        help="How GDPW's network runs: as written, compiled (a minute at the start), or so and in CUDA graphs.",
    ),
    click.option(
        "--preset",
        type=click.Choice(["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]),
        default="veryfast",
        show_default=True,
        help="libx264's speed; a slower one makes smaller files.",
    ),
    size_option,
    fit_options(smooth=False),
)


def animation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with all of them."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


def animation_settings(options: dict[str, Any]) -> dict[str, Any]:
    """The values of these options as the fields that `ReenactConfig` and `RenderConfig` share."""
    from pipeline.crop import CropConfig
    from pipeline.encode import EncodeConfig
    from pipeline.models import ModelConfig
    from pipeline.reenactment import FollowConfig
    from pipeline.transfer import TransferConfig

    transfer = TransferConfig(keep=frozenset(options["keep"]), relative=options["relative"], smooth=options["smooth"])
    return {
        "panels": options["layout"] == "panels",
        "paste_back": options["paste_back"],
        "sound": options["audio"] == "driving",
        "crop": CropConfig(size=options["size"]),
        "fit": options["fit"],
        "model": ModelConfig(
            name=options["model"],
            checkpoint=options["checkpoint"],
            rasterizer=options["rasterizer"],
            execution=options["execution"],
        ),
        "follow": FollowConfig(transfer=transfer, on_missing=options["on_missing"]),
        "encode": EncodeConfig(encoder=options["encoder"], synthetic=options["tag"], preset=options["preset"]),
    }

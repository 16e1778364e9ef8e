"""One portrait's face edited by its codes."""

from __future__ import annotations

from typing import Any

import click

from jobs.options import ANY_PATH, EXISTING_FILE, LOCAL_FILE, debug_option, fit_options, size_option


@click.command()
@click.argument("portrait")
@click.option(
    "--out",
    type=ANY_PATH,
    help="The picture (.jpg), or the preset's video (.mp4).  [default: face_edit_output_img.jpg or "
    "face_reenact_demo_video.mp4, in place of a former one]",
)
@click.option("--overwrite", is_flag=True, help="Replace the files named by --out and --save, or in the prompt.")
@click.option("--commands", metavar="LINE", help='Edits to make, without a prompt: "shape 0 1.5 global_pose yaw -10".')
@click.option("--script", type=LOCAL_FILE, help="A file of such lines, obeyed in order; # begins a comment.")
@click.option(
    "--preset",
    type=click.Choice(["all", "shape", "exp", "jaw", "pose"]),
    help="Write the published animation as a video, from the face as edited.",
)
@click.option("--save", type=ANY_PATH, help="Write the codes (.npz), which reenact and render take as driving.")
@click.option("--web", is_flag=True, help="Serve a page with sliders, until Ctrl-C.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --web: where the page is served.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="With --web: the page's port; 0 takes a free one.",
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
@fit_options(smooth=False)
@debug_option
def edit(portrait: str, **options: Any) -> None:
    """Change shape, expression, pose, jaw, eyes and camera of the face in PORTRAIT.

    PORTRAIT is a picture, a moment of a video (clip.mp4@3.2s) or a frame of a dataset
    (DATASET::identity/video/clip[/track][@frame]). Of several faces the largest is taken.

    Without --commands, --script, --preset or --web a prompt asks for edits, and each is seen in the picture at once:
    source, result, and the meshes of both, shaded. The prompt's own help lists what it understands.
    """
    from jobs.edit import Address, EditConfig, run
    from pipeline.crop import CropConfig
    from pipeline.models import ModelConfig

    config = EditConfig(
        portrait=portrait,
        out=options["out"],
        overwrite=options["overwrite"],
        commands=options["commands"],
        script=options["script"],
        preset=options["preset"],
        save=options["save"],
        web=Address(host=options["host"], port=options["port"]) if options["web"] else None,
        crop=CropConfig(size=options["size"]),
        fit=options["fit"],
        model=ModelConfig(name=options["model"], checkpoint=options["checkpoint"], rasterizer=options["rasterizer"]),
    )
    click.echo(run(config))

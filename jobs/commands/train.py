"""A generator out of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from jobs.options import (
    ANY_PATH,
    EXISTING_FILE,
    EXISTING_FOLDER,
    LOCAL_FILE,
    address_option,
    debug_option,
    face_model_option,
)


@click.command()
@click.argument("dataset", type=EXISTING_FOLDER)
@click.argument("run", type=ANY_PATH)
@click.option(
    "--preset",
    type=click.Choice(["paper", "small", "tiny"]),
    default="paper",
    show_default=True,
    help="As published, a small generator at 128x128, or seconds on a CPU.",
)
@click.option(
    "--guidance",
    type=click.Choice(["neural_codes", "geom_disp", "both"]),
    default="neural_codes",
    show_default=True,
    help="What the mesh tells the generator; geom_disp needs the fewest people.",
)
@click.option("--steps", type=click.IntRange(1), help="Steps of the whole run.")
@click.option("--batch-size", type=click.IntRange(1), help="Pairs a step, of all workers together.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes, of the whole cluster, one a GPU.",
)
@click.option(
    "--perceptual",
    type=click.Choice(["vgg19", "vgg16-st", "none"]),
    help="What measures perceptual terms: the paper's network, one that comes in a wheel, or nothing.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in RUN and its settings.")
@click.option("--init", type=EXISTING_FILE, help="Begin with these weights, a released PWM_*.pth or ours.")
@click.option("--config", "config_file", type=LOCAL_FILE, help="Settings in YAML, as RUN/config.yaml has them.")
@click.option("--set", "assignments", multiple=True, metavar="A.B=C", help="One setting; may be given several times.")
@click.option("--tensorboard/--no-tensorboard", default=True, show_default=True, help="Write for TensorBoard.")
@click.option("--local", is_flag=True, help="Train in this process, without Ray; also under torchrun.")
@address_option
@face_model_option
@debug_option
@click.pass_context
def train(
    context: click.Context,
    dataset: Path,
    run: Path,
    preset: Literal["paper", "small", "tiny"],
    guidance: Literal["neural_codes", "geom_disp", "both"],
    steps: int | None,
    batch_size: int | None,
    workers: int,
    perceptual: str | None,
    resume: bool,
    init: Path | None,
    config_file: Path | None,
    assignments: tuple[str, ...],
    tensorboard: bool,
    local: bool,
    address: str | None,
    face_model: Path | None,
) -> None:
    """Train a generator on the pairs of DATASET; checkpoints, metrics and pictures go to RUN."""
    from jobs.recipe import Recipe
    from jobs.run_folder import RunFolder
    from jobs.settings import change, parse_assignments, read_settings
    from jobs.train import TrainConfig, TrainTask
    from jobs.train import run as run_job

    recipe = Recipe.preset(preset, guidance)
    stored = RunFolder(run).config
    if resume and stored.exists():
        recipe = change(recipe, read_settings(stored))
    if config_file:
        recipe = change(recipe, read_settings(config_file))
    given = {"steps": steps, "perceptual": perceptual, "pairs": {"batch_size": batch_size} if batch_size else None}
    recipe = change(recipe, {name: value for name, value in given.items() if value is not None})
    recipe = change(recipe, parse_assignments(assignments))
    if given_on_command_line(context, "guidance"):
        recipe = change(recipe, {"generator": {"guidance": guidance}})
    task = TrainTask(dataset=dataset, run=run, recipe=recipe, init=init, face_model=face_model, tensorboard=tensorboard)
    job = TrainConfig(task=task, workers=workers, resume=resume, local=local, address=address)
    click.echo(run_job(job))


def given_on_command_line(context: click.Context, option: str) -> bool:
    """Whether the user wrote it, so that it outweighs files."""
    return context.get_parameter_source(option) == click.core.ParameterSource.COMMANDLINE

"""Many faces moved by many others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.animation_options import animation_options, animation_settings
from jobs.options import (
    ANY_PATH,
    EXISTING,
    EXISTING_FILE,
    EXISTING_FOLDER,
    address_option,
    cpus_option,
    debug_option,
    log_option,
)

if TYPE_CHECKING:
    from pipeline.render_plan import RenderPlan
    from pipeline.render_stages import RenderConfig


@click.command()
@click.argument("out", type=ANY_PATH)
@click.option("--jobs", "jobs", type=EXISTING_FILE, help="A CSV, JSONL or Parquet file with a row a video.")
@click.option("--sources", type=EXISTING, help="A folder of portraits, or one.")
@click.option("--drivings", type=EXISTING, help="A folder of videos, or one.")
@click.option("--pair", metavar="[all|zip|random:N]", help="Which source meets which driver.  [default: all]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of --pair random:N.")
@click.option("--dataset", type=EXISTING_FOLDER, help="A dataset: each of its tracks drives.")
@click.option("--retry", type=click.Choice(["failed"]), help="Try jobs again that failed before.")
@click.option("--overwrite", is_flag=True, help="Delete former results in OUT and begin anew.")
@click.option("--dry-run", is_flag=True, help="Say how much work it is, and write nothing.")
@click.option("--max-failed", type=click.IntRange(min=0), help="Stop when more jobs than that failed.")
@address_option
@cpus_option
@log_option
@animation_options
@debug_option
def render(out: Path, **options: Any) -> None:
    """Make many videos, as reenact makes one, into the folder OUT.

    Which ones is said by --jobs (columns source, driving and, as wanted, output, layout, paste_back, audio, keep,
    relative, smooth, on_missing), by --sources and --drivings, or by --dataset, whose tracks drive the --sources or,
    without them, their own first frame.

    A run that was stopped goes on where it ended when it is called again. OUT/ledger.parquet has a row a job,
    OUT/report.html shows results, speeds, and what failed and why.
    """
    from jobs.outputs import MisuseError
    from jobs.render import RenderRunConfig, run
    from jobs.render_estimate import estimate
    from pipeline.render_stages import RenderConfig

    if options["layout"] == "panels" and options["paste_back"]:
        raise MisuseError("panels show crops of equal size; leave out --paste-back or --layout panels")
    config = RenderRunConfig(
        out=out,
        plan=_plan(options),
        render=_with_one_thread(RenderConfig(**animation_settings(options))),
        retry_failed=options["retry"] == "failed",
        overwrite=options["overwrite"],
        max_failed=options["max_failed"],
        address=options["address"],
        cpus=options["cpus"],
        log=options["log"],
    )
    click.echo(estimate(config) if options["dry_run"] else run(config))


def _with_one_thread(config: RenderConfig) -> RenderConfig:
    """A writer a core encodes, so that each needs one thread; and results do not depend on the number of cores."""
    return replace(config, encode=replace(config.encode, threads=1))


def _plan(options: dict[str, Any]) -> RenderPlan:
    from pipeline.render_plan import Pairing, dataset_jobs, list_jobs, pair_jobs
    from pipeline.render_stages import ROW_OPTIONS

    listed, sources, drivings, dataset = (options[name] for name in ("jobs", "sources", "drivings", "dataset"))
    if [listed is not None, drivings is not None, dataset is not None].count(True) != 1:
        raise click.UsageError("Name the work by one of --jobs, --drivings with --sources, and --dataset.")
    if listed is not None:
        if sources is not None or options["pair"] is not None:
            raise click.UsageError("--jobs names sources and pairs itself; leave out --sources and --pair.")
        return list_jobs(listed, ROW_OPTIONS)
    try:
        pairing = Pairing.parse(options["pair"] or "all", options["seed"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--pair'") from None
    if dataset is not None:
        if sources is None and options["pair"] is not None:
            raise click.UsageError("--pair needs --sources: without them each track drives its own first frame.")
        return dataset_jobs(dataset, sources, pairing)
    if sources is None:
        raise click.UsageError("--drivings needs --sources.")
    return pair_jobs(sources, drivings, pairing)

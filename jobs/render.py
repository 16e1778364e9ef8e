"""Jobs -> animated videos: resumed where a run ended, a ledger row a job, a report."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from jobs.cluster import cluster
from jobs.journal import Journal
from jobs.options import say_fitter
from jobs.outputs import refuse_full_disk, resumed_folder
from jobs.ray_stage import FailureLimit
from jobs.render_graph import Counts, RenderGraph
from pipeline.assembly import RUN
from pipeline.atomic import sweep
from pipeline.errors import Fault, PipelineError, Reason
from pipeline.ledger import LEDGER, Status
from pipeline.pieces import Pieces
from pipeline.render_ledger import RenderRow, write_render_ledger
from pipeline.render_plan import RenderJob, RenderPlan
from pipeline.render_report import REPORT, write_report
from pipeline.render_stages import RenderConfig
from pipeline.storage import remove_tree


@dataclass(frozen=True, kw_only=True)
class RenderRunConfig:
    """out: the folder of the results. plan: what to make. render: how it looks.

    retry_failed: jobs that failed before are tried again. overwrite: former results here are deleted first.
    max_failed: jobs that may fail; one more stops the run. address: see `cluster`. cpus: that are used; None for all.
    log: file of the journal; None keeps none.
    """

    out: Path
    plan: RenderPlan
    render: RenderConfig = field(default_factory=RenderConfig)
    retry_failed: bool = False
    overwrite: bool = False
    max_failed: int | None = None
    address: str | None = None
    cpus: int | None = None
    log: Path | None = None


def run(config: RenderRunConfig) -> str:
    """Make the videos that are not there yet, then ledger and report. Returns a summary for people.

    Raises PipelineError if no job gave a video (the ledger then says why), or nothing can be written; MisuseError for a
    folder with something else in it, or with results of other options.
    """
    jobs, faults = _checked(config.plan, config.render)
    pieces = _begin(config)
    rows = {key: row for key, row in _rows(pieces) if _stands(row, config)}
    waiting = [job for job in jobs if key_of(job) not in rows]
    counts = Counts(prepared=0, encoded=0)
    pieces.write(RUN, {"what": "jobs", "clips": len(jobs), "missing": len(waiting), "start": time.time()})
    if waiting:
        say_fitter()
        limit, journal = FailureLimit(config.max_failed), Journal(config.log)
        with (
            journal.of("render", out=str(config.out), jobs=len(jobs), missing=len(waiting)),
            cluster(config.address, config.cpus),
        ):
            graph = RenderGraph(config.render, config.out, config.cpus, journal.run)
            keys = {job.output: key_of(job) for job in waiting}
            for row in tqdm(graph(_by_source(waiting)), total=len(waiting), unit="job", disable=None):
                refuse_full_disk(row)
                rows[keys[row.output]] = row
                pieces.write(keys[row.output], {"result": row.as_json(), "time": time.time()})
                journal.ended("write", row.output, row)
                if row.status == Status.FAILED:
                    limit.failed(row.message)
            counts = graph.counts()
        sweep(config.out)  # what writers that died left half written
    ledger = [*map(RenderRow.of_fault, faults), *(rows[key_of(job)] for job in jobs)]
    write_render_ledger(ledger, config.out)
    write_report(ledger, f"{len(waiting)} jobs worked on in this run: {counts}", config.out)
    return _summary(config.out, ledger)


def key_of(job: RenderJob) -> str:
    """What a job's result is kept by: it follows from all that the job says."""
    return hashlib.sha256(json.dumps([job.output, job.source, job.driving, job.options]).encode()).hexdigest()


def _checked(plan: RenderPlan, render: RenderConfig) -> tuple[list[RenderJob], list[Fault]]:
    """The jobs whose own options there are, and the faults of the plan and of the others."""
    jobs, faults = [], list(plan.faults)
    for job in plan.jobs:
        try:
            render.of(job)
            jobs.append(job)
        except ValueError as error:
            faults.append(Fault(path=job.output, line=None, reason=Reason.BAD_ANNOTATION, problem=str(error)))
    return jobs, faults


def _begin(config: RenderRunConfig) -> Pieces:
    """The folder of the results with what is known of them."""
    pieces = Pieces(config.out)
    if config.overwrite and pieces.begun:
        for _, row in _rows(pieces):
            (config.out / row.output).unlink(missing_ok=True)
        remove_tree(pieces.folder)
        for name in (LEDGER, REPORT):
            (config.out / name).unlink(missing_ok=True)
        pieces.begin(config.render.stored())
        return pieces
    return resumed_folder(config.out, config.render.stored())


def _rows(pieces: Pieces) -> Iterator[tuple[str, RenderRow]]:
    return ((key, RenderRow.of_json(piece["result"])) for key, piece in pieces.read_all() if key != RUN)


def _stands(row: RenderRow, config: RenderRunConfig) -> bool:
    """Whether a job need not be done again."""
    if row.status == Status.DONE:
        path = config.out / row.output
        return path.is_file() and path.stat().st_size == row.bytes
    return not (config.retry_failed and row.status == Status.FAILED)


def _by_source(jobs: list[RenderJob]) -> list[RenderJob]:
    """Jobs of one source together, the sources in the order in which they are first named."""
    first = {job.source: place for place, job in reversed(list(enumerate(jobs)))}
    return sorted(jobs, key=lambda job: first[job.source])


def _summary(out: Path, ledger: list[RenderRow]) -> str:
    ended = Counter(row.status for row in ledger)
    others = ", ".join(f"{ended[status]} {status}" for status in (Status.SKIPPED, Status.FAILED) if ended[status])
    if not ended[Status.DONE]:
        why = ledger[0].message if len(ledger) == 1 else f"none of {len(ledger)} jobs gave a video"
        raise PipelineError(f"{why} (see {out / LEDGER})")
    frames = sum(row.frames for row in ledger)
    text = f"{out}: {ended[Status.DONE]} of {len(ledger)} jobs done, {frames:,} frames"
    return f"{text}, {others} (see {out / LEDGER})" if others else text

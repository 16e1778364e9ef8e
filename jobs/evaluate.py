"""Results judged: what each contestant is worth on a dataset, all of them in one table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from jobs.cluster import cluster
from jobs.outputs import MisuseError, resumed_folder
from jobs.ray_stage import Failed, RayStage, run_stages
from jobs.table import aligned
from pipeline.assets import digest_of
from pipeline.atomic import atomic_path
from pipeline.contestants import ContestantConfig, named_contestant
from pipeline.dataset import open_dataset
from pipeline.errors import PipelineError
from pipeline.evaluation import METRICS, NOT_RUN, Assignment, Evaluate, EvaluationConfig, Outcome
from pipeline.evaluation_plan import EvaluationJob, Setting, plan_jobs, track_name
from pipeline.evaluation_report import STRIPS, write_report
from pipeline.evaluation_results import mean_of, write_metrics, write_per_video
from pipeline.fit import FitConfig
from pipeline.ledger import MANIFEST, ManifestRow
from pipeline.models import ModelConfig
from pipeline.perceptual_files import WHEEL, st_lpips_file
from pipeline.pieces import Pieces

JOBS_FILE = "jobs.csv"
_CONTESTANT = "contestant "
_SUMMARISED = ("l1", "psnr", "ssim", "akd", "expression", "pose", "missing")


@dataclass(frozen=True, kw_only=True)
class EvaluateRunConfig:
    """model: as `named_contestant` takes it. out: the folder of the table, which holds any number of contestants.

    split, limit, pairs, seed: see `plan_jobs`. frames, size, perceptual_step: see `EvaluationConfig`. execution: how a
    checkpoint runs. retry_failed: jobs that failed before are tried again. address, cpus: see `cluster`.
    """

    model: str
    dataset: Path
    out: Path
    split: str = "test"
    limit: int | None = None
    pairs: Path | None = None
    seed: int = 0
    frames: int = 50
    size: int | None = None
    perceptual_step: int = 5
    fit: FitConfig = field(default_factory=FitConfig)
    execution: ModelConfig = field(default_factory=ModelConfig)
    retry_failed: bool = False
    address: str | None = None
    cpus: int | None = None

    def stored(self) -> dict[str, Any]:
        """What decides the numbers, as JSON holds it."""
        return {
            "dataset": digest_of(self.dataset / MANIFEST),
            "pairs": digest_of(self.pairs) if self.pairs else None,
            "fit": self.fit.stored(),
            **{name: getattr(self, name) for name in ("split", "limit", "seed", "frames", "size", "perceptual_step")},
        }


def run(config: EvaluateRunConfig) -> str:
    """Judge what is not judged yet, then write tables and report of all contestants. Returns a summary for people.

    Raises PipelineError if the dataset cannot be read, no job can be judged, or nothing can be written; MisuseError for
    a folder with something else in it, or with results of other options.
    """
    _check_model(config.model)
    rows = {track_name(row): row for row in open_dataset(config.dataset).tracks}
    jobs = plan_jobs(list(rows.values()), config.split, limit=config.limit, pairs=config.pairs, seed=config.seed)
    pieces = resumed_folder(config.out, config.stored())
    _write_jobs(jobs, config.out / JOBS_FILE)
    contestant = named_contestant(config.model, jobs, config.execution)
    pieces.write(f"{_CONTESTANT}{contestant.label}", contestant.digest)
    waiting = [job for job in jobs if _waits(pieces.get(_key(contestant.label, contestant.digest, job.name)), config)]
    if waiting:
        for outcome in tqdm(_judged(config, contestant, waiting, rows), total=len(waiting), unit="job", disable=None):
            pieces.write(_key(contestant.label, contestant.digest, outcome.name), outcome.as_json())
    outcomes = _all_outcomes(pieces, jobs)
    _write(config, outcomes)
    return _summary(config, contestant.label, outcomes)


def _check_model(name: str) -> None:
    if name not in ("copy-source", "mesh-warp") and not Path(name).exists():
        raise MisuseError(f"{name}: no such file or folder, and neither copy-source nor mesh-warp")


def _waits(piece: dict[str, Any] | None, config: EvaluateRunConfig) -> bool:
    return piece is None or (config.retry_failed and bool(piece["fault"]))


def _key(label: str, digest: str, job: str) -> str:
    return f"{label}/{digest}/{job}"


def _judged(
    config: EvaluateRunConfig, contestant: ContestantConfig, jobs: list[EvaluationJob], rows: Mapping[str, ManifestRow]
) -> Iterator[Outcome]:
    """Outcomes, in no order. A driver is prepared once for all its jobs; a fault nobody foresaw is that of them all."""
    stage = EvaluationConfig(
        dataset=config.dataset.absolute(),
        contestant=contestant,
        strips=(config.out / STRIPS / contestant.label).absolute(),
        frames=config.frames,
        size=config.size,
        perceptual_step=config.perceptual_step,
        fit=config.fit,
    )
    by_driver = {driver: list(some) for driver, some in groupby(jobs, key=lambda job: job.driving)}
    items = ((driver, _assignment(some, rows)) for driver, some in by_driver.items())
    with cluster(config.address, config.cpus) as cpus:
        gpus = 1.0 if contestant.kind == "gdpw" else 0.0
        stages = [RayStage(stage=Evaluate, config=stage, num_cpus=1.0, num_gpus=gpus)]
        for driver, outcome in run_stages(items, stages, workers=min(cpus, len(by_driver))):
            if isinstance(outcome, Failed):
                yield from (Outcome.of(job, fault=outcome.message) for job in by_driver[driver])
            else:
                by_driver[driver] = [job for job in by_driver[driver] if job.name != outcome.name]
                yield outcome


def _assignment(jobs: list[EvaluationJob], rows: Mapping[str, ManifestRow]) -> Assignment:
    return Assignment(jobs=jobs, rows={name: rows[name] for job in jobs for name in (job.source, job.driving)})


def _all_outcomes(pieces: Pieces, jobs: list[EvaluationJob]) -> dict[str, list[Outcome]]:
    """Of every contestant so far, in the order of their labels; jobs in order."""
    contestants = sorted(
        (key.removeprefix(_CONTESTANT), digest) for key, digest in pieces.read_all() if key.startswith(_CONTESTANT)
    )
    found = {
        label: [Outcome.of_json(piece) for job in jobs if (piece := pieces.get(_key(label, digest, job.name)))]
        for label, digest in contestants
    }
    return {label: outcomes for label, outcomes in found.items() if outcomes}


def _write(config: EvaluateRunConfig, outcomes: dict[str, list[Outcome]]) -> None:
    not_run = dict(NOT_RUN)
    if config.perceptual_step == 0 or st_lpips_file() is None:
        why = f"the package {WHEEL} is not installed" if config.perceptual_step else "not asked for"
        not_run |= dict.fromkeys(("st_lpips", "st_lpips_face"), why)
    write_metrics(outcomes, config.stored(), not_run, config.out)
    write_per_video(outcomes, config.out)
    write_report(outcomes, f"{config.out.absolute().name}: results judged", not_run, config.seed, config.out)


def _write_jobs(jobs: list[EvaluationJob], path: Path) -> None:
    with atomic_path(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["job", "setting", "source", "driving"])
        writer.writerows([job.name, job.setting.value, job.source, job.driving] for job in jobs)


def _summary(config: EvaluateRunConfig, label: str, outcomes: dict[str, list[Outcome]]) -> str:
    faults = [outcome for outcome in outcomes[label] if outcome.fault]
    if len(faults) == len(outcomes[label]):
        raise PipelineError(f"{label}: none of {len(faults)} jobs could be judged: {faults[0].fault}")
    names = [metric.name for metric in METRICS if metric.name in _SUMMARISED]
    lines = [("", "", *names)]
    for setting in Setting:
        for name, some in outcomes.items():
            means = [mean_of(some, setting, metric, config.seed) for metric in names]
            lines.append((setting.value, name, *(f"{mean.mean:.3f}" if mean else "-" for mean in means)))
    text = f"{aligned(lines)}\n{config.out / 'report.html'}: {len(outcomes[label])} jobs"
    return f"{text}, {len(faults)} without a result" if faults else text

"""Results judged: what each contestant is worth on a dataset, all of them in one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from jobs.cluster import cluster
from jobs.options import say_fitter
from jobs.outputs import MisuseError, resumed_folder
from jobs.ray_stage import Failed, RayStage, run_stages
from jobs.table import aligned
from pipeline.checksums import digest_of
from pipeline.contestants import WITHOUT_WEIGHTS, ContestantConfig, exists, named_contestant
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import PipelineError
from pipeline.evaluation import Assignment, Evaluate, EvaluationConfig, Outcome
from pipeline.evaluation_networks import Available, available
from pipeline.evaluation_pairs import PAIRS, write_pairs
from pipeline.evaluation_plan import EvaluationJob, Setting, plan_jobs, track_name, write_jobs
from pipeline.evaluation_report import write_report
from pipeline.evaluation_results import Table, write_metrics, write_per_video
from pipeline.fit import FitConfig
from pipeline.ledger import MANIFEST, ManifestRow
from pipeline.models import ModelConfig
from pipeline.pieces import Pieces

JOBS_FILE = "jobs.csv"
_CONTESTANT = "contestant "
_SUMMARISED = ("l1", "psnr", "ssim", "akd", "expression", "pose", "missing")


@dataclass(frozen=True, kw_only=True)
class EvaluateRunConfig:
    """models: as `named_contestant` takes them. out: the folder of the table, to which they are added.

    split, limit, pairs, seed: see `plan_jobs`. frames, size, perceptual_step: see `EvaluationConfig`. execution: how a
    checkpoint runs. export: whether sources and drivers are written for other programs, see `write_pairs`.
    retry_failed: jobs that failed before are tried again. address, cpus: see `cluster`.
    """

    models: Sequence[str]
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
    export: bool = False
    retry_failed: bool = False
    address: str | None = None
    cpus: int | None = None

    def stored(self) -> dict[str, Any]:
        """What decides the numbers, as JSON holds it."""
        return {
            "dataset": digest_of(self.dataset / MANIFEST),
            "pairs": digest_of(self.pairs) if self.pairs else None,
            "fit": self.fit.stored(),
            "networks": self.networks.weights,
            **{name: getattr(self, name) for name in ("split", "limit", "seed", "frames", "size", "perceptual_step")},
        }

    @cached_property
    def networks(self) -> Available:
        """Those whose weights are here, and why the others do not run."""
        return available(wanted=self.perceptual_step > 0)


def run(config: EvaluateRunConfig) -> str:
    """Judge what is not judged yet, then write tables and report of all contestants. Returns a summary for people.

    Raises PipelineError if the dataset cannot be read, no job of a model can be judged, or nothing can be written;
    MisuseError for a folder with something else in it, or with results of other options.
    """
    if not config.models and not config.export:
        raise MisuseError("name a MODEL to judge, or --export what other programs need")
    for model in config.models:
        if not exists(model):
            raise MisuseError(f"{model}: no such file or folder, and neither copy-source nor mesh-warp")
    dataset = open_dataset(config.dataset)
    config = replace(config, size=config.size or _size_of(dataset))
    rows = {track_name(row): row for row in dataset.tracks}
    jobs = plan_jobs(list(rows.values()), config.split, limit=config.limit, pairs=config.pairs, seed=config.seed)
    pieces = resumed_folder(config.out, config.stored())
    write_jobs(jobs, config.out / JOBS_FILE)
    exported = ""
    if config.export:
        count = write_pairs(dataset, jobs, rows, frames=config.frames, size=config.size or 0, out=config.out)
        exported = f"{config.out / PAIRS}: sources and drivers of {count} jobs"
    if not config.models:
        return exported
    contestants = [named_contestant(model, jobs, config.execution) for model in config.models]
    for contestant in contestants:
        pieces.write(f"{_CONTESTANT}{contestant.label}", {"digest": contestant.digest, "size": contestant.size})
    waiting = [(contestant, _waiting(config, pieces, contestant, jobs)) for contestant in contestants]
    total = sum(len(some) for _, some in waiting)
    if total:
        say_fitter()
        judged = _judged(config, waiting, rows)
        for contestant, outcome in tqdm(judged, total=total, unit="job", disable=None):
            pieces.write(_key(contestant.label, contestant.digest, outcome.name), outcome.as_json())
    table = _table(config, pieces, jobs)
    write_metrics(table, config.stored())
    write_per_video(table)
    write_report(table, f"{config.out.absolute().name}: results judged")
    return "\n".join(filter(None, [exported, _summary(table, [one.label for one in contestants])]))


def _size_of(dataset: Dataset) -> int:
    """Side in pixels of its pictures. Raises PipelineError where it has none."""
    if not dataset.tracks:
        raise PipelineError(f"{dataset.folder}: holds no track")
    return dataset.read_sample(dataset.tracks[0], 0).image.shape[0]


def _waiting(
    config: EvaluateRunConfig, pieces: Pieces, contestant: ContestantConfig, jobs: list[EvaluationJob]
) -> list[EvaluationJob]:
    """The jobs without a result of this contestant."""
    return [job for job in jobs if _waits(pieces.get(_key(contestant.label, contestant.digest, job.name)), config)]


def _waits(piece: dict[str, Any] | None, config: EvaluateRunConfig) -> bool:
    return piece is None or (config.retry_failed and bool(piece["fault"]))


def _key(label: str, digest: str, job: str) -> str:
    return f"{label}/{digest}/{job}"


def _judged(
    config: EvaluateRunConfig,
    waiting: Sequence[tuple[ContestantConfig, list[EvaluationJob]]],
    rows: Mapping[str, ManifestRow],
) -> Iterator[tuple[ContestantConfig, Outcome]]:
    """Outcomes, one contestant after the other, else in no order."""
    with cluster(config.address, config.cpus):
        for contestant, jobs in waiting:
            for outcome in _judged_of(config, contestant, jobs, rows) if jobs else ():
                yield contestant, outcome


def _judged_of(
    config: EvaluateRunConfig,
    contestant: ContestantConfig,
    jobs: list[EvaluationJob],
    rows: Mapping[str, ManifestRow],
) -> Iterator[Outcome]:
    """A driver is prepared once for all its jobs; a fault nobody foresaw is that of them all."""
    stage = EvaluationConfig(
        dataset=config.dataset.absolute(),
        contestant=contestant,
        out=config.out.absolute(),
        frames=config.frames,
        size=config.size,
        networks=tuple(config.networks.weights),
        perceptual_step=config.perceptual_step,
        fit=config.fit,
    )
    by_driver = {driver: list(some) for driver, some in groupby(jobs, key=lambda job: job.driving)}
    items = ((driver, _assignment(some, rows)) for driver, some in by_driver.items())
    gpus = 1.0 if contestant.kind == "gdpw" else 0.0
    stages = [RayStage(stage=Evaluate, config=stage, num_cpus=1.0, num_gpus=gpus)]
    for driver, outcome in run_stages(items, stages, workers=config.cpus):
        if isinstance(outcome, Failed):
            yield from (Outcome.of(job, fault=outcome.message) for job in by_driver[driver])
        else:
            by_driver[driver] = [job for job in by_driver[driver] if job.name != outcome.name]
            yield outcome


def _assignment(jobs: list[EvaluationJob], rows: Mapping[str, ManifestRow]) -> Assignment:
    return Assignment(jobs=jobs, rows={name: rows[name] for job in jobs for name in (job.source, job.driving)})


def _table(config: EvaluateRunConfig, pieces: Pieces, jobs: list[EvaluationJob]) -> Table:
    """Of every contestant so far, those without weights first; jobs in order."""
    known = {key.removeprefix(_CONTESTANT): piece for key, piece in pieces.read_all() if key.startswith(_CONTESTANT)}
    outcomes = {}
    for label in sorted(known, key=lambda label: (label not in WITHOUT_WEIGHTS, label)):
        found = (pieces.get(_key(label, known[label]["digest"], job.name)) for job in jobs)
        outcomes[label] = [Outcome.of_json(piece) for piece in found if piece]
    return Table(
        outcomes={label: some for label, some in outcomes.items() if some},
        sizes={label: piece["size"] for label, piece in known.items() if piece["size"]},
        seed=config.seed,
        not_run=config.networks.not_run,
        size=config.size or 0,
        out=config.out,
    )


def _summary(table: Table, labels: list[str]) -> str:
    outcomes = table.outcomes
    faults = {label: [outcome for outcome in outcomes[label] if outcome.fault] for label in labels}
    for label, some in faults.items():
        if len(some) == len(outcomes[label]):
            raise PipelineError(f"{label}: none of {len(some)} jobs could be judged: {some[0].fault}")
    lines: list[Sequence[str]] = [("", "", *_SUMMARISED)]
    for setting in Setting:
        for name in outcomes:
            means = [table.mean(name, setting, metric) for metric in _SUMMARISED]
            lines.append((setting.value, name, *(f"{mean.mean:.3f}" if mean else "-" for mean in means)))
    count = sum(len(outcomes[label]) for label in labels)
    text = f"{aligned(lines)}\n{table.out / 'report.html'}: {count} jobs"
    failed = sum(map(len, faults.values()))
    return f"{text}, {failed} without a result" if failed else text

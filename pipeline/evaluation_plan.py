"""What `evaluate` looks at: which source meets which driver, from a dataset's manifest. The same for the same seed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError
from pipeline.keys import track_prefix
from pipeline.ledger import ManifestRow
from pipeline.split import person_of
from pipeline.tables import read_rows

LEAST_FRAMES = 4
"""A shorter track has no motion to speak of, and is left out."""


class Setting(StrEnum):
    """Where a source comes from, and so what there is to compare with."""

    FIRST = "self-first"
    """The driver's own first frame; the driver's pictures are the truth."""
    FAR = "self-far"
    """The frame of the driver's own track whose head is turned farthest from the driving frames; as above."""
    CROSS = "cross"
    """The first frame of another person; only motion can be compared."""


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """One animation to judge. source, driving: tracks, `IDENTITY/VIDEO/CLIP/TRACK` as keys have them.

    name: of a result video of it, without its suffix, in a folder of such.
    """

    setting: Setting
    source: str
    driving: str

    @property
    def name(self) -> str:
        place = f"{self.setting}/{self.driving}"
        return f"{place}/by/{self.source}" if self.setting == Setting.CROSS else place


def track_name(row: ManifestRow) -> str:
    """How a track is called here: what the keys of its samples begin with."""
    return track_prefix(row.identity, row.video, row.clip, row.track).rstrip("/")


def plan_jobs(
    rows: Sequence[ManifestRow], split: str, *, limit: int | None = None, pairs: Path | None = None, seed: int = 0
) -> list[EvaluationJob]:
    """Three jobs a driver: by its first frame, by its far frame, and by another person, those of a driver together.

    split: train, val, test or all. limit: as many drivers at most, drawn by seed. pairs: a table with the columns
    `source` and `driving`, names of tracks, which then are all there is of cross jobs; without it each driver gets one
    source of another person, drawn by seed.
    Raises PipelineError where no track is left, or the table names one that is not there.
    """
    if split != "all":
        rows = [row for row in rows if row.split == split]
    people = {track_name(row): person_of(row.identity) for row in rows if row.frames >= LEAST_FRAMES}
    if not people:
        raise PipelineError(
            f"no track of {LEAST_FRAMES} frames in the part {split!r}; name another with --split, or draw one anew "
            "with 'gdpw-pipe split'"
        )
    rng = np.random.default_rng(seed)
    drivers = sorted(people)
    if limit is not None and limit < len(drivers):
        drivers = [drivers[i] for i in np.sort(rng.choice(len(drivers), limit, replace=False))]
    crossed = _drawn_pairs(drivers, people, rng) if pairs is None else _listed_pairs(pairs, people)
    own = [
        EvaluationJob(setting=setting, source=driver, driving=driver)
        for driver in drivers
        for setting in (Setting.FIRST, Setting.FAR)
    ]
    return sorted([*own, *crossed], key=lambda job: job.driving)


def write_jobs(jobs: Iterable[EvaluationJob], path: Path) -> None:
    """Write the jobs as a table: job, setting, source, driving."""
    with atomic_path(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["job", "setting", "source", "driving"])
        writer.writerows([job.name, job.setting.value, job.source, job.driving] for job in jobs)


def _drawn_pairs(drivers: list[str], people: dict[str, str], rng: np.random.Generator) -> list[EvaluationJob]:
    pairs = []
    for driver in drivers:
        others = [name for name in sorted(people) if people[name] != people[driver]]
        if others:
            source = others[int(rng.integers(len(others)))]
            pairs.append(EvaluationJob(setting=Setting.CROSS, source=source, driving=driver))
    return pairs


def _listed_pairs(path: Path, people: dict[str, str]) -> list[EvaluationJob]:
    pairs = {}
    for line, cells, problem in read_rows(path, "source", "driving"):
        unknown = [name for name in (cells.get("source", ""), cells.get("driving", "")) if name not in people]
        if problem or unknown:
            raise PipelineError(f"{path}:{line}: {problem or f'no track {unknown[0]!r} in this part of the dataset'}")
        job = EvaluationJob(setting=Setting.CROSS, source=cells["source"], driving=cells["driving"])
        pairs[job.name] = job
    return list(pairs.values())

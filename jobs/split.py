"""The parts of a dataset, drawn anew: who is for training, validation and testing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from jobs.table import aligned
from pipeline.ledger import ManifestRow, read_manifest, write_manifest
from pipeline.split import SplitConfig, person_of, read_split_list, split_by_hash, split_by_list

_FAULTS_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class SplitJobConfig:
    """dataset: its folder. people: a list that says who is where; None draws them by `shares`."""

    dataset: Path
    shares: SplitConfig = field(default_factory=SplitConfig)
    people: Path | None = None


def run(config: SplitJobConfig) -> str:
    """Write the column `split` of the manifest, in one go. Returns a summary for people.

    Raises PipelineError if the dataset or the list cannot be read, or the manifest not be written.
    """
    rows = read_manifest(config.dataset)
    notes: list[str] = []
    if config.people is None:
        rows = split_by_hash(rows, config.shares)
    else:
        people, faults = read_split_list(config.people)
        rows, others = split_by_list(rows, people)
        notes += [str(fault) for fault in faults[:_FAULTS_SHOWN]]
        notes += [f"... and {len(faults) - _FAULTS_SHOWN} more rows left out"] if len(faults) > _FAULTS_SHOWN else []
        notes += [f"{others} tracks of people who are not in {config.people} stay as they were"] if others else []
    write_manifest(rows, config.dataset)
    return "\n".join([_counts(rows), *notes])


def _counts(rows: list[ManifestRow]) -> str:
    tracks, frames = Counter(row.split for row in rows), Counter[str]()
    people: dict[str, set[str]] = {}
    for row in rows:
        frames[row.split] += row.frames
        people.setdefault(row.split, set()).add(person_of(row.identity))
    lines = [
        (part, f"{len(people[part])}", f"{tracks[part]}", f"{frames[part]}") for part in sorted(people, reverse=True)
    ]
    return aligned([("split", "people", "tracks", "frames"), *lines])

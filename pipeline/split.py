"""Which part of a dataset a track is for: train, val or test.

Where a published set says so, by its folders or lists, it is obeyed. Elsewhere a person belongs to one part, by a hash
of the identity, whatever else the dataset holds. Whoever shares a video with its person (`NAME~2`, ...) is somebody
else, yet shares the part: pictures of one video never lie in two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.annotations import is_annotation, read_annotations
from pipeline.errors import Fault, Reason
from pipeline.layouts import SPLITS
from pipeline.ledger import ManifestRow
from pipeline.people import is_table_of_people, read_people
from pipeline.tables import read_rows

_PARTS = {**SPLITS, "val": "val"}
"""What lists call a part, and what we call it."""


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """val, test: shares of the people, 0..1. seed: another one draws other people."""

    val: float = 0.05
    test: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.val, self.test) < 0 or self.val + self.test > 1:
            raise ValueError(f"val and test must be shares that leave something to train: {self}")


def person_of(identity: str) -> str:
    """The person in whose video somebody is: the identity up to the first `~`."""
    return identity.partition("~")[0]


def split_of(identity: str, config: SplitConfig) -> str:
    """The part of the people to which an identity belongs; the same on every machine."""
    digest = hashlib.sha256(f"{config.seed}/{person_of(identity)}".encode("utf-8", "surrogateescape")).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    if place < config.test:
        return "test"
    return "val" if place < config.test + config.val else "train"


def split_by_hash(rows: list[ManifestRow], config: SplitConfig) -> list[ManifestRow]:
    """The rows with every split drawn anew."""
    return [replace(row, split=split_of(row.identity, config)) for row in rows]


def split_by_list(rows: list[ManifestRow], people: Mapping[str, str]) -> tuple[list[ManifestRow], int]:
    """The rows with the splits of these people, and the count of those of other people, which stay as they are."""
    listed = [replace(row, split=people.get(person_of(row.identity), row.split)) for row in rows]
    return listed, sum(person_of(row.identity) not in people for row in rows)


def read_split_list(path: Path) -> tuple[dict[str, str], list[Fault]]:
    """Person -> part, as a list says, and what of it cannot be used.

    Read are VoxCeleb's tables of people, `vox-metadata.csv`, folders of VoxCeleb's text files, and tables (CSV, JSONL,
    Parquet) with columns `identity` and `split`. Of somebody who is listed in several parts the first one counts.
    Raises PipelineError if the file cannot be read or says nothing of the kind.
    """
    if path.is_file() and is_table_of_people(path):
        return read_people(path)
    if path.is_dir() or is_annotation(path):
        annotations = read_annotations(path)
        listed = ((clip.path, clip.line, clip.identity, clip.split or "") for clip in annotations.clips)
        return _parts(listed, annotations.faults)
    rows = read_rows(path, "identity", "split")
    return _parts(((str(path), row.line, row.cells["identity"], row.cells["split"]) for row in rows), [])


def _parts(
    listed: Iterable[tuple[str, int | None, str, str]],  # file, line, identity, part
    faults: Iterable[Fault],
) -> tuple[dict[str, str], list[Fault]]:
    people: dict[str, str] = {}
    faults = list(faults)
    for path, line, identity, word in listed:
        part = _PARTS.get(word.lower())
        problem = f"split is {word!r}, not one of {', '.join(_PARTS)}" if part is None else None
        if part and people.setdefault(identity, part) != part:
            problem = f"{identity} again, in another part"
        if problem:
            faults.append(Fault(path=path, line=line, reason=Reason.BAD_ANNOTATION, problem=problem))
    return people, faults

"""All 67 hard inputs, through preprocess: each ends as `hard_expected.csv` says, and nothing of a bad one is stored.

least_frames, most_frames: of the input in the dataset. message: what the ledger, or for an annotation the scan, says.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import ray

from jobs.preprocess import PreprocessConfig, run
from pipeline.dataset import open_dataset
from pipeline.ledger import LedgerRow, Status, read_ledger, read_manifest
from pipeline.sources import scan

pytestmark = pytest.mark.timeout(1200)  # the first test does all the work, also on a busy machine


class Expected(NamedTuple):
    file: str
    status: str
    reason: str
    message: str
    least_frames: int
    most_frames: int


def read_expected() -> dict[str, Expected]:
    with Path(__file__).with_name("hard_expected.csv").open(encoding="utf-8") as file:
        rows = [Expected(*row[:4], *map(int, row[4:])) for row in csv.reader(file) if row[0] != "file"]
    return {row.file: row for row in rows}


EXPECTED = read_expected()
ANNOTATIONS = [name for name in EXPECTED if name.endswith((".csv", ".txt"))]
MEDIA = [name for name in EXPECTED if name not in ANNOTATIONS]


@pytest.fixture(scope="module", autouse=True)
def two_cores() -> Iterator[None]:
    """One cluster for all runs."""
    ray.init(num_cpus=2, address="local", object_store_memory=200e6, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def hard(shared: Path) -> Path:
    return shared / "hard"


@pytest.fixture(scope="module")
def out(hard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hard") / "out"
    run(PreprocessConfig(input=hard, out=folder, workers=2))
    return folder


@pytest.fixture(scope="module")
def ledger(out: Path, hard: Path) -> dict[str, LedgerRow]:
    return {Path(row.input).relative_to(hard).as_posix(): row for row in read_ledger(out)}


def test_every_hard_input_is_expected_to_end_somehow(hard: Path) -> None:
    with (hard / "hard.csv").open(encoding="utf-8") as file:
        assert [row["file"] for row in csv.DictReader(file)] == list(EXPECTED)
    assert (len(MEDIA), len(ANNOTATIONS)) == (62, 5)


def test_every_media_input_has_one_row(out: Path, ledger: dict[str, LedgerRow]) -> None:
    assert sorted(ledger) == sorted(MEDIA)
    assert len(read_ledger(out)) == 62


@pytest.mark.parametrize("name", MEDIA)
def test_a_hard_input_ends_as_expected(ledger: dict[str, LedgerRow], name: str) -> None:
    row, expected = ledger[name], EXPECTED[name]
    assert (row.status, row.reason or "") == (expected.status, expected.reason), row.message
    assert expected.message in row.message
    assert expected.least_frames <= row.frames <= expected.most_frames
    assert "\n" not in row.message


def test_the_shards_hold_what_the_ledger_says_and_nothing_else(out: Path, ledger: dict[str, LedgerRow]) -> None:
    dataset = open_dataset(out)
    stored = Counter(sample.key.clip for path in out.glob("shard-*.tar") for sample in dataset.read_shard(path.name))
    assert stored == {name: row.frames for name, row in ledger.items() if row.status == Status.DONE}


def test_two_people_in_one_file_have_two_names(out: Path) -> None:
    tracks = [row for row in read_manifest(out) if row.clip == "identity_switch_cut.mp4"]
    assert {row.identity for row in tracks} == {"identity_switch_cut", "identity_switch_cut~2"}
    for row in tracks:
        assert row.numbers[-1] < 38 or row.numbers[0] >= 38


class Annotated(NamedTuple):
    ledger: list[LedgerRow]
    frames: Counter[str]
    said: list[str]


@pytest.fixture(scope="module")
def annotated(shared: Path, hard: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Annotated]:
    """The uploads in `raw`, cut by the table and by the text files, each in a run of its own."""
    raw, results = shared / "voxceleb_layout" / "raw", {}
    for metadata in ("vox-metadata_bad.csv", "txt_bad"):
        folder = tmp_path_factory.mktemp("annotated") / "out"
        run(PreprocessConfig(input=raw, metadata=hard / metadata, out=folder, workers=2))
        frames = Counter[str]()
        for row in read_manifest(folder):
            frames[row.clip] += row.frames
        ledger = read_ledger(folder)
        notes = scan(raw, metadata=hard / metadata).notes
        results[metadata] = Annotated(ledger, frames, [row.message for row in ledger] + notes)
    return results


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_a_hard_annotation_ends_as_expected(annotated: dict[str, Annotated], hard: Path, name: str) -> None:
    expected, found = EXPECTED[name], annotated[name.split("/")[0]]
    frames = found.frames[Path(name).stem] if "/" in name else found.frames.total()
    assert expected.least_frames <= frames <= expected.most_frames
    assert (expected.status == Status.DONE) == (frames > 0)
    assert any(expected.message in message for message in found.said)
    if expected.reason:
        assert expected.reason in {row.reason for row in found.ledger}
    else:
        assert str(hard / name) not in {row.input for row in found.ledger}

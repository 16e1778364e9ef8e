"""Every published layout through preprocess, on to the original's folders and back: as its index says."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray

from jobs.export_folders import ExportFoldersConfig
from jobs.export_folders import run as export_folders
from jobs.preprocess import PreprocessConfig, run
from pipeline.clips import read_clip
from pipeline.dataset import Dataset, open_dataset
from pipeline.gdpw_folder import read_vertices, training_folder
from pipeline.ledger import read_ledger
from pipeline.parts import ReadConfig
from pipeline.sources import clip_of, scan

pytestmark = pytest.mark.timeout(900)  # the first test does the work, also on a busy machine

FRAMES = 8
"""Of each clip, so that it takes seconds; that clips are as long as they should be is tested where they are read."""


@pytest.fixture(scope="module", autouse=True)
def two_cores() -> Iterator[None]:
    """One cluster for all runs."""
    ray.init(num_cpus=2, address="local", object_store_memory=200e6, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def index(shared: Path) -> dict[str, dict[str, str]]:
    with (shared / "voxceleb_layout" / "layout.csv").open(encoding="utf-8") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def dataset(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("layouts") / "out"
    read = ReadConfig(max_frames=FRAMES)
    run(PreprocessConfig(input=shared / "voxceleb_layout", out=out, read=read, workers=2))
    return open_dataset(out)


def test_every_media_file_is_used(dataset: Dataset, index: dict[str, dict[str, str]], shared: Path) -> None:
    root = shared / "voxceleb_layout"
    rows = {Path(row.input).relative_to(root).as_posix(): row for row in read_ledger(dataset.folder)}
    ended = {path: (rows[path].status, rows[path].tracks, rows[path].frames) for path in index}
    assert ended == dict.fromkeys(index, ("done", 1, FRAMES))


def test_tracks_have_the_names_and_parts_of_the_index(dataset: Dataset, index: dict[str, dict[str, str]]) -> None:
    expected = Counter((row["person_id"], row["video_id"]) for row in index.values())
    assert Counter((row.identity, row.video) for row in dataset.tracks) == expected
    assert expected.total() == 36
    tested = {row["person_id"] for path, row in index.items() if "/test/" in path}
    assert len(tested) == 3
    for row in dataset.tracks:
        assert row.split == ("test" if row.identity in tested else "train")


def test_exported_folders_are_read_back_equal(dataset: Dataset, tmp_path: Path) -> None:
    """Pictures as they were stored; meshes as exactly as shards hold them."""
    out = tmp_path / "out"
    export_folders(ExportFoldersConfig(dataset=dataset.folder, out=out))
    assert len(scan(out)) == 36
    for row in dataset.tracks:
        folder = training_folder(out, row.identity, row.video, row.clip, row.track)
        frames = list(read_clip(clip_of(folder)))
        assert [frame.number for frame in frames] == row.numbers
        sample = dataset.read_sample(row, 3)
        np.testing.assert_array_equal(frames[3].image, sample.image)
        mesh = read_vertices(folder / f"{row.numbers[3]:07d}_posed_vertx.lz4")
        np.testing.assert_array_equal(mesh, sample.vertices)

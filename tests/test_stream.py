"""The stream: whole shards read as plain WebDataset become the same batches of pairs again and again."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_dataset import write_dataset

from gdpw.geometry import pixels_to_ndc
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import PipelineError
from pipeline.ledger import write_manifest
from pipeline.loader import LoaderConfig
from pipeline.pairs import PairBatch
from pipeline.stream import PairStream, StreamConfig

CONFIG = LoaderConfig(batch_size=4, size=64, workers=1, prefetch=0)
STREAM = StreamConfig(steps_per_epoch=6, pairs_per_track=2, shuffle=8, streams=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several shards, some with tracks of two splits."""
    return write_dataset(tmp_path_factory.mktemp("people") / "dataset", shard_bytes=300_000)


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return open_dataset(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A dataset to damage."""
    return shutil.copytree(folder, tmp_path / "copy")


def batches(dataset: Dataset, count: int, start: int = 0, config: LoaderConfig = CONFIG) -> list[PairBatch]:
    return list(islice(PairStream(dataset, config, STREAM).iterate(start), count))


def assert_same(one: list[PairBatch], other: list[PairBatch]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert (left.step, left.pairs) == (right.step, right.pairs)
        assert all(torch.equal(a, b) for a, b in zip(left[2:], right[2:], strict=True))


def test_a_batch_holds_the_frames_that_its_pairs_name(dataset: Dataset) -> None:
    for step, batch in enumerate(batches(dataset, 8)):
        assert [pair.number for pair in batch.pairs] == list(range(4 * step, 4 * step + 4))
        for place, pair in enumerate(batch.pairs):
            assert pair.source != pair.driving
            for frame, pictures, meshes in (
                (pair.source, batch.source, batch.source_vertices),
                (pair.driving, batch.driving, batch.driving_vertices),
            ):
                sample = dataset.read_sample(dataset.tracks[pair.track], frame)
                np.testing.assert_array_equal(pictures[place].permute(1, 2, 0), sample.image)
                expected = pixels_to_ndc(torch.from_numpy(sample.vertices), 64, 64)
                torch.testing.assert_close(meshes[place], expected)


def test_every_track_to_train_with_passes_and_no_other(dataset: Dataset) -> None:
    counts = Counter(pair.track for batch in batches(dataset, 60) for pair in batch.pairs)
    assert sorted(counts) == [row for row, track in enumerate(dataset.tracks) if track.split == "train"]
    assert sorted(counts) != list(range(len(dataset.tracks)))


@pytest.mark.parametrize(("workers", "prefetch"), [(1, 3), (3, 0)])
def test_workers_and_prefetch_change_nothing(dataset: Dataset, workers: int, prefetch: int) -> None:
    other = replace(CONFIG, workers=workers, prefetch=prefetch)
    assert_same(batches(dataset, 14), batches(dataset, 14, config=other))


@pytest.mark.parametrize("start", [4, 6, 13])
def test_a_start_within_an_epoch_or_at_its_end_goes_on_with_the_same_batches(dataset: Dataset, start: int) -> None:
    assert_same(batches(dataset, 5, start), batches(dataset, start + 5)[start:])


def test_seeds_and_epochs_differ(dataset: Dataset) -> None:
    one, next_epoch = (batches(dataset, 6, start) for start in (0, 6))
    other = batches(dataset, 6, config=replace(CONFIG, seed=1))
    drawn = [[pair[1:] for batch in run for pair in batch.pairs] for run in (one, next_epoch, other)]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_ranks_read_different_shards(dataset: Dataset) -> None:
    """With a stream and a rank for each shard, a rank reads one shard in an epoch and nothing else."""
    world = len({track.shard for track in dataset.tracks if track.split == "train"})
    config, stream = replace(CONFIG, batch_size=world), replace(STREAM, streams=1, shuffle=1)
    shards = []
    for rank in range(world):
        run = islice(PairStream(dataset, config, stream, rank, world).iterate(), 6)
        shards.append({dataset.tracks[pair.track].shard for batch in run for pair in batch.pairs})
    assert world > 2
    assert [len(own) for own in shards] == [1] * world
    assert len(set.union(*shards)) == world


def test_a_pairs_number_is_its_place_in_the_batch_of_all_ranks(dataset: Dataset) -> None:
    stream = replace(STREAM, streams=1)
    for rank in range(2):
        (batch,) = islice(PairStream(dataset, CONFIG, stream, rank, 2).iterate(5), 1)
        assert [pair.number for pair in batch.pairs] == [20 + 2 * rank, 21 + 2 * rank]


def test_fewer_shards_than_streams_are_refused(dataset: Dataset) -> None:
    with pytest.raises(PipelineError, match="shards with tracks of the split train cannot feed 2 times 4 streams"):
        PairStream(dataset, CONFIG, replace(STREAM, streams=4), 0, 2)


def test_closing_ends_the_threads(dataset: Dataset) -> None:
    before = threading.active_count()
    running = PairStream(dataset, CONFIG, STREAM).iterate()
    next(running)
    assert threading.active_count() > before
    running.close()
    assert threading.active_count() == before


def read_until_it_fails(folder: Path) -> None:
    for _ in islice(PairStream(open_dataset(folder), CONFIG, STREAM).iterate(), 100):
        pass


def test_a_torn_shard_is_named(copy: Path) -> None:
    row = open_dataset(copy).tracks[1]
    with (copy / row.shard).open("r+b") as file:
        file.truncate(row.offsets[2] + 700)
    with pytest.raises(PipelineError, match=rf"{row.shard}: not a readable shard .*unexpected end of data"):
        read_until_it_fails(copy)


def test_damage_within_a_sample_is_named_by_shard_and_key(copy: Path) -> None:
    row = open_dataset(copy).tracks[0]
    data = (copy / row.shard).read_bytes()
    (copy / row.shard).write_bytes(data.replace(b'"vertices_scale"', b'"vertices_scare"'))
    with pytest.raises(PipelineError, match=rf"{row.shard}: no usable sample ann/video/clip-\d/0/00000\d"):
        read_until_it_fails(copy)


def test_a_track_that_its_shard_lacks_is_named(copy: Path) -> None:
    rows = open_dataset(copy).tracks
    write_manifest([replace(rows[0], clip="gone"), *rows[1:]], copy)
    with pytest.raises(PipelineError, match=f"{rows[0].shard}: lacks the track ann/video/gone/0/"):
        read_until_it_fails(copy)


def test_a_track_that_lacks_frames_is_named(copy: Path) -> None:
    rows = open_dataset(copy).tracks
    offsets = [*rows[0].offsets, rows[0].offsets[-1] + 512]
    write_manifest([replace(rows[0], frames=5, offsets=offsets), *rows[1:]], copy)
    with pytest.raises(PipelineError, match=f"{rows[0].shard}: has no frame 4 of a track of 5"):
        read_until_it_fails(copy)


@pytest.mark.parametrize("name", ["steps_per_epoch", "pairs_per_track", "shuffle", "streams"])
def test_impossible_settings_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        replace(STREAM, **{name: 0})

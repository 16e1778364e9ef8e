"""The loader: batches hold what the pairs name, in the order of the steps, however they are read."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from samples import make_sample
from shard_writer import write_shards
from synthetic_dataset import write_dataset

from gdpw.geometry import pixels_to_ndc
from pipeline.dataset import Dataset, open_dataset, write_description
from pipeline.errors import PipelineError
from pipeline.frames import parse_frame
from pipeline.ledger import write_manifest
from pipeline.loader import LoaderConfig, PairLoader
from pipeline.pairs import PairBatch
from pipeline.shards import FaceModelStamp, read_sample

CONFIG = LoaderConfig(batch_size=4, size=64, workers=1, prefetch=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("people") / "dataset", shard_bytes=400_000)


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return open_dataset(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A dataset to damage."""
    return shutil.copytree(folder, tmp_path / "copy")


def batches(dataset: Dataset, config: LoaderConfig, count: int, start: int = 0) -> list[PairBatch]:
    return list(islice(PairLoader(dataset, config).iterate(start), count))


def assert_same(one: list[PairBatch], other: list[PairBatch]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert (left.step, left.pairs) == (right.step, right.pairs)
        assert all(torch.equal(a, b) for a, b in zip(left[2:], right[2:], strict=True))


def test_a_batch_holds_the_frames_that_its_pairs_name(dataset: Dataset) -> None:
    assert len({row.shard for row in dataset.tracks}) > 2
    for batch in batches(dataset, CONFIG, 3):
        assert batch.source.shape == (4, 3, 64, 64)
        for place, pair in enumerate(batch.pairs):
            row = dataset.tracks[pair.track]
            assert row.split == "train"
            for frame, pictures, meshes in (
                (pair.source, batch.source, batch.source_vertices),
                (pair.driving, batch.driving, batch.driving_vertices),
            ):
                sample = dataset.read_sample(row, frame)
                np.testing.assert_array_equal(pictures[place].permute(1, 2, 0), sample.image)
                expected = pixels_to_ndc(torch.from_numpy(sample.vertices), 64, 64)
                torch.testing.assert_close(meshes[place], expected)


def test_pictures_are_channels_last_bytes(dataset: Dataset) -> None:
    (batch,) = batches(dataset, CONFIG, 1)
    for pictures in (batch.source, batch.driving):
        assert pictures.dtype == torch.uint8
        assert pictures.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("workers", "prefetch"), [(1, 3), (2, 0), (5, 2)])
def test_workers_and_prefetch_change_nothing(dataset: Dataset, workers: int, prefetch: int) -> None:
    other = replace(CONFIG, workers=workers, prefetch=prefetch)
    assert_same(batches(dataset, CONFIG, 8), batches(dataset, other, 8))


def test_a_start_at_any_step_goes_on_with_the_same_batches(dataset: Dataset) -> None:
    whole = batches(dataset, CONFIG, 9)
    assert [batch.step for batch in whole] == list(range(9))
    assert_same(batches(dataset, CONFIG, 4, start=5), whole[5:])


def test_the_ranks_slices_make_up_the_batch(dataset: Dataset) -> None:
    (whole,) = batches(dataset, CONFIG, 1, start=3)
    parts = [PairLoader(dataset, CONFIG, rank, 2).read(3) for rank in range(2)]
    assert [pair for part in parts for pair in part.pairs] == whole.pairs
    for name in ("source", "driving", "source_vertices", "driving_vertices"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_ranks_that_cannot_share_a_batch_are_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="3 ranks cannot share a batch of 4 evenly"):
        PairLoader(dataset, CONFIG, 0, 3)


@pytest.mark.parametrize(("size", "interpolation"), [(32, cv2.INTER_AREA), (128, cv2.INTER_LINEAR)])
def test_other_sizes_resize_the_picture_and_leave_the_mesh(dataset: Dataset, size: int, interpolation: int) -> None:
    (stored,), (resized,) = batches(dataset, CONFIG, 1), batches(dataset, replace(CONFIG, size=size), 1)
    picture = cv2.resize(stored.driving[1].permute(1, 2, 0).numpy(), (size, size), interpolation=interpolation)
    np.testing.assert_array_equal(resized.driving[1].permute(1, 2, 0), picture)
    assert torch.equal(resized.driving_vertices, stored.driving_vertices)


def test_no_more_is_read_ahead_than_asked_for(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    read, begun = PairLoader.read, []
    monkeypatch.setattr(PairLoader, "read", lambda self, step: (begun.append(step), read(self, step))[1])
    running = PairLoader(dataset, replace(CONFIG, workers=2, prefetch=3)).iterate()
    for step in range(3):
        next(running)
        time.sleep(0.2)
        assert sorted(begun) == list(range(step + 1 + 2 + 3))


def test_closing_ends_the_threads(dataset: Dataset) -> None:
    before = threading.active_count()
    running = PairLoader(dataset, replace(CONFIG, workers=3)).iterate()
    next(running)
    assert threading.active_count() > before
    running.close()
    assert threading.active_count() == before


def test_a_batch_goes_to_a_device_whole(dataset: Dataset) -> None:
    (batch,) = batches(dataset, CONFIG, 1)
    moved = batch.to("meta")
    assert {tensor.device.type for tensor in moved[2:]} == {"meta"}
    assert moved[:2] == batch[:2]


def damaged(folder: Path, track: int, frame: int, data: bytes, *, at: int = 0) -> str:
    """Overwrite bytes of a sample. Returns its shard's name."""
    row = open_dataset(folder).tracks[track]
    with (folder / row.shard).open("r+b") as file:
        file.seek(row.offsets[frame] + at)
        file.write(data)
    return row.shard


def read_until_it_fails(folder: Path) -> None:
    for _ in islice(PairLoader(open_dataset(folder), replace(CONFIG, workers=2)).iterate(), 100):
        pass


def test_damage_is_named_by_shard_and_key(copy: Path) -> None:
    shard = damaged(copy, track=1, frame=2, data=b"nonsense" * 64)
    place = r"bytes \d+ to \d+, of the track ann/video/clip-1/0/ \(no tar member begins there\)"
    with pytest.raises(PipelineError, match=f"{shard}: no usable sample in {place}"):
        read_until_it_fails(copy)


def test_a_torn_picture_is_named_by_shard_and_key(copy: Path) -> None:
    row = open_dataset(copy).tracks[1]
    data = (copy / row.shard).read_bytes()
    picture_at = data.index(b"\xff\xd8", row.offsets[2]) - row.offsets[2]
    shard = damaged(copy, track=1, frame=2, data=bytes(700), at=picture_at)
    with pytest.raises(PipelineError, match=f"{shard}: sample ann/video/clip-1/0/000002 is not usable"):
        read_until_it_fails(copy)


def test_a_shard_that_ends_early_is_named(copy: Path) -> None:
    row = open_dataset(copy).tracks[7]
    with (copy / row.shard).open("r+b") as file:
        file.truncate(row.offsets[4] - 3_000)
    expected = f"{row.shard}: no usable sample in .*, of the track cid/video/clip/0/ .*ends 3000 bytes too early"
    with pytest.raises(PipelineError, match=expected):
        read_until_it_fails(copy)


def test_a_missing_shard_is_named(copy: Path) -> None:
    shard = open_dataset(copy).tracks[1].shard
    (copy / shard).unlink()
    with pytest.raises(PipelineError, match=f"{shard}: no usable sample in .* No such file"):
        read_until_it_fails(copy)


def test_a_manifest_of_other_shards_is_noticed(copy: Path) -> None:
    """Same offsets, other people: nothing but the keys tells."""
    write_manifest([replace(row, identity=row.identity[::-1]) for row in open_dataset(copy).tracks], copy)
    with pytest.raises(PipelineError, match=r"ann/video/clip-\d/0/\d+ lies there: the manifest is of another shard"):
        read_until_it_fails(copy)


def test_samples_of_another_face_model_are_refused(copy: Path) -> None:
    write_description(copy, FaceModelStamp(name="other", hash="b" * 64), {})
    with pytest.raises(PipelineError, match="made with the face model generic-head"):
        PairLoader(open_dataset(copy), CONFIG)


@pytest.mark.parametrize("identity", ["ann", "名前" * 9, "a.b/c", "[1]{2}" * 10])
def test_a_frame_is_parsed_as_webdataset_parses_it(tmp_path: Path, identity: str) -> None:
    """Also where names are too long for a tar's headers."""
    stamp = FaceModelStamp(name="head", hash="a" * 64)
    ((name, offsets),) = write_shards(tmp_path, [[make_sample(frame, identity) for frame in range(2)]], stamp)
    shard = tmp_path / name
    expected, face_model = read_sample(shard, *offsets[1:3])
    frame = parse_frame(shard.read_bytes()[slice(*offsets[1:3])], name)
    assert frame.key == str(expected.key)
    assert frame.face_model == face_model
    picture, vertices = np.empty((64, 64, 3), np.uint8), np.empty((50, 3), np.float32)
    frame.decode_into(picture, vertices)
    np.testing.assert_array_equal(picture, expected.image)
    ndc = pixels_to_ndc(torch.from_numpy(expected.vertices), 64, 64)
    torch.testing.assert_close(torch.from_numpy(vertices), ndc)


def test_two_samples_are_not_one(tmp_path: Path) -> None:
    stamp = FaceModelStamp(name="head", hash="a" * 64)
    ((shard, offsets),) = write_shards(tmp_path, [[make_sample(frame) for frame in range(2)]], stamp)
    data = (tmp_path / shard).read_bytes()
    with pytest.raises(ValueError, match="holds 2 samples, not one"):
        parse_frame(data[offsets[0] : offsets[2]], shard)


def test_pictures_that_are_not_square_and_meshes_of_another_size_are_refused(tmp_path: Path) -> None:
    ((shard, offsets),) = write_shards(tmp_path, [[make_sample()]], FaceModelStamp(name="head", hash="a" * 64))
    frame = parse_frame((tmp_path / shard).read_bytes()[slice(*offsets)], shard)
    picture, vertices = np.empty((64, 64, 3), np.uint8), np.empty((51, 3), np.float32)
    with pytest.raises(PipelineError, match=r"shard-000000\.tar: sample .*a mesh of 50 vertices among meshes of 51"):
        frame.decode_into(picture, vertices)
    with pytest.raises(PipelineError, match="64x32 is not square"):
        frame._replace(height=32).decode_into(picture, vertices)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"workers": 0}, {"size": 0}, {"seed": -1}, {"prefetch": -1}])
def test_impossible_settings_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LoaderConfig(**wrong)

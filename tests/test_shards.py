"""Shards: plain WebDataset tars that give back what went in, whole or not at all; equal samples, equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import webdataset
from samples import HEAD, make_sample
from shard_writer import write_shards

from fit_deca.codes import CODE_SIZES
from pipeline.errors import PipelineError
from pipeline.keys import parse_key
from pipeline.shards import Sample, fixed_point_scale, join_parts, read_sample, read_shard, write_part

FRAMES = 5


def write(folder: Path, identity: str = "ann") -> list[Path]:
    write_shards(folder, [[make_sample(frame, identity) for frame in range(FRAMES)]], HEAD)
    return sorted(folder.iterdir())


def test_plain_webdataset_reads_every_sample(tmp_path: Path) -> None:
    (shard,) = write(tmp_path)
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in samples] == [f"ann/video%2E1/clip/0/00000{frame}" for frame in range(5)]
    for frame, read in enumerate(samples):
        written = make_sample(frame)
        about = read["json"]
        assert read["vertices.npy"].dtype == np.int16
        np.testing.assert_allclose(read["vertices.npy"] / about["vertices_scale"], written.vertices, atol=0.02)
        np.testing.assert_array_equal(read["codes.npy"], written.codes)
        np.testing.assert_array_equal(about["crop"], written.crop)
        assert about["codes"] == CODE_SIZES
        assert about["size"] == [64, 64]
        assert (about["identity"], about["video"], about["frame"]) == ("ann", "video.1", frame)
        assert about["time"] == frame / 25
        assert about["face_model"] == {"name": "head", "hash": HEAD.hash}
        assert read["jpg"].startswith(b"\xff\xd8")


def test_webdataset_decodes_the_pictures(tmp_path: Path) -> None:
    (shard,) = write(tmp_path)
    for frame, read in enumerate(webdataset.WebDataset(str(shard), shardshuffle=False).decode("rgb8")):
        difference = np.abs(read["jpg"].astype(int) - make_sample(frame).image)
        assert difference.mean() < 1


@pytest.mark.parametrize("identity", ["__meta__", "-dash", "a.b.c", "[1]{2}", "100% #1", "名前", "up/../down"])
def test_odd_names_reach_webdataset_and_come_back(tmp_path: Path, identity: str) -> None:
    (shard,) = write(tmp_path, identity=identity)
    keys = [sample["__key__"] for sample in webdataset.WebDataset(str(shard), shardshuffle=False)]
    assert [parse_key(key).identity for key in keys] == [identity] * FRAMES


def test_our_reader_gives_the_samples_back(tmp_path: Path) -> None:
    (shard,) = write(tmp_path)
    for frame, (read, face_model) in enumerate(read_shard(shard)):
        written = make_sample(frame)
        assert face_model == HEAD
        assert (read.key, read.time, read.error_median_px) == (written.key, written.time, written.error_median_px)
        np.testing.assert_allclose(read.vertices, written.vertices, atol=0.02)
        assert np.abs(read.image.astype(int) - written.image).mean() < 1
        for name in ("codes", "crop", "recover"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


@pytest.mark.parametrize(("reach", "scale"), [(200, 128), (300, 64), (600, 32), (1023, 32), (0, 16384), (5000, 4)])
def test_the_scale_is_the_largest_power_of_two_that_fits(reach: float, scale: float) -> None:
    vertices = np.array([[reach, -reach, 0]], np.float32)
    assert fixed_point_scale(vertices) == scale
    stored = np.rint(vertices * scale)
    assert np.abs(stored).max() <= 32767


def test_samples_written_again_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (one,), (two,) = write(tmp_path / "one"), write(tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()


def test_parts_are_joined_in_order_and_samples_lie_where_their_parts_say(tmp_path: Path) -> None:
    tracks = [[make_sample(frame, track=track) for frame in range(FRAMES)] for track in range(3)]
    places = write_shards(tmp_path, tracks, HEAD)
    assert {shard for shard, _ in places} == {"shard-000000.tar"}
    shard = tmp_path / "shard-000000.tar"
    assert [sample.key[3:] for sample, _ in read_shard(shard)] == [
        (track, frame) for track in range(3) for frame in range(FRAMES)
    ]
    for track, (_, offsets) in enumerate(places):
        read = [read_sample(shard, *ends)[0].key[3:] for ends in pairwise(offsets)]
        assert read == [(track, frame) for frame in range(FRAMES)]


def test_a_fault_midway_leaves_no_part(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield make_sample(0)
        assert not list(tmp_path.glob("[!.]*"))
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_part(tmp_path / "part.tar", broken(), HEAD)
    assert not list(tmp_path.iterdir())


def test_a_missing_part_leaves_no_shard(tmp_path: Path) -> None:
    write_part(tmp_path / "part.tar", iter([make_sample()]), HEAD)
    with pytest.raises(PipelineError, match=r"shard\.tar: cannot be written"):
        join_parts(tmp_path / "shard.tar", [tmp_path / "part.tar", tmp_path / "lost.tar"])
    assert [path.name for path in tmp_path.iterdir()] == ["part.tar"]


def test_an_unwritable_folder_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=r"file/part.tar: cannot be written"):
        write_part(tmp_path / "file" / "part.tar", iter([make_sample()]), HEAD)


def test_a_cut_shard_is_named_in_one_line(tmp_path: Path) -> None:
    (shard,) = write(tmp_path)
    shard.write_bytes(shard.read_bytes()[:10_000])
    with pytest.raises(PipelineError, match=r"shard-000000.tar: not a readable shard"):
        list(read_shard(shard))

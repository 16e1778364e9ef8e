"""Shards: plain WebDataset tars that give back what went in, whole or not at all; equal samples, equal bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import webdataset
from samples import HEAD, make_sample

from fit_deca.codes import CODE_SIZES
from pipeline.errors import PipelineError
from pipeline.keys import parse_key
from pipeline.shards import Sample, ShardWriter, fixed_point_scale, read_shard

FRAMES = 5


def write(folder: Path, size_limit: int = 1 << 30, tracks: int = 1, identity: str = "ann") -> list[Path]:
    with ShardWriter(folder, HEAD, size_limit) as writer:
        for track in range(tracks):
            writer.write_track(make_sample(frame, identity, track) for frame in range(FRAMES))
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


def test_a_full_shard_is_followed_by_another_and_tracks_stay_whole(tmp_path: Path) -> None:
    shards = write(tmp_path, size_limit=1, tracks=3)
    assert [shard.name for shard in shards] == ["shard-000000.tar", "shard-000001.tar", "shard-000002.tar"]
    assert [[sample.key.track for sample, _ in read_shard(shard)] for shard in shards] == [[0] * 5, [1] * 5, [2] * 5]


def test_a_fault_midway_leaves_the_full_shards_and_no_other_file(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield make_sample(0, track=1)
        raise RuntimeError("power cut")

    def write_both() -> None:
        with ShardWriter(tmp_path, HEAD, size_limit=1) as writer:
            writer.write_track(make_sample(frame) for frame in range(FRAMES))
            writer.write_track(broken())

    with pytest.raises(RuntimeError, match="power cut"):
        write_both()
    assert [path.name for path in tmp_path.iterdir()] == ["shard-000000.tar"]


def test_no_tar_shows_before_it_is_whole(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, HEAD, size_limit=1 << 30) as writer:
        writer.write_track(make_sample(frame) for frame in range(FRAMES))
        assert not list(tmp_path.glob("[!.]*"))
    assert [path.name for path in tmp_path.iterdir()] == ["shard-000000.tar"]


def test_an_unwritable_folder_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(PipelineError, match=r"file/shard-000000.tar: cannot be written"),
        ShardWriter(tmp_path / "file", HEAD, size_limit=1) as writer,
    ):
        writer.write_track(iter([make_sample()]))


def test_a_cut_shard_is_named_in_one_line(tmp_path: Path) -> None:
    (shard,) = write(tmp_path)
    shard.write_bytes(shard.read_bytes()[:10_000])
    with pytest.raises(PipelineError, match=r"shard-000000.tar: not a readable shard"):
        list(read_shard(shard))

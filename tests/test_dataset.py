"""Datasets: a track is found by its name, and two face models never mix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import HEAD, OTHER_HEAD, make_sample
from shard_writer import write_shards

from pipeline.dataset import open_dataset, write_description
from pipeline.errors import PipelineError
from pipeline.ledger import ManifestRow, write_manifest
from pipeline.shards import FaceModelStamp


def make_dataset(folder: Path, face_model: FaceModelStamp = HEAD) -> Path:
    """Two tracks of Ann and one of Bob, in two shards."""
    rows = []
    tracks = [("ann", 0), ("ann", 1), ("bob", 0)]
    samples = [[make_sample(frame, *track) for frame in range(3, 8)] for track in tracks]
    places = write_shards(folder, samples, face_model, limit=40_000)
    for (identity, track), (shard, offsets) in zip(tracks, places, strict=True):
        row = ManifestRow(
            identity=identity,
            video="video.1",
            clip="clip",
            track=track,
            frames=5,
            shard=shard,
            error_median_px=0.5,
            error_p95_px=1.0,
            jitter_px=0.1,
            split="train",
            numbers=[3, 4, 5, 6, 7],
            offsets=offsets,
        )
        rows.append(row)
    write_manifest(rows, folder)
    write_description(folder, HEAD, {"size": 64})
    return folder


def test_a_track_is_read_in_order(tmp_path: Path) -> None:
    dataset = open_dataset(make_dataset(tmp_path))
    assert len({row.shard for row in dataset.tracks}) == 2
    for row in dataset.tracks:
        samples = dataset.read_track(row.identity, row.video, row.clip, row.track)
        assert [sample.key.frame for sample in samples] == [3, 4, 5, 6, 7]
        assert {sample.key[:4] for sample in samples} == {(row.identity, "video.1", "clip", row.track)}
        np.testing.assert_array_equal(samples[2].codes, make_sample(5, row.identity, row.track).codes)


def test_one_frame_is_read_from_its_own_bytes(tmp_path: Path) -> None:
    dataset = open_dataset(make_dataset(tmp_path))
    for row in dataset.tracks:
        whole = dataset.read_track(row.identity, row.video, row.clip, row.track)
        for index, sample in enumerate(whole):
            alone = dataset.read_sample(row, index)
            assert alone.key == sample.key
            assert alone.key.frame == row.numbers[index]
            np.testing.assert_array_equal(alone.image, sample.image)
            np.testing.assert_array_equal(alone.vertices, sample.vertices)


def test_bytes_that_are_no_sample_are_named(tmp_path: Path) -> None:
    dataset = open_dataset(make_dataset(tmp_path))
    row = dataset.tracks[1]
    torn = replace(row, offsets=[offset + 512 for offset in row.offsets])
    with pytest.raises(PipelineError, match=rf"{row.shard}: no sample at bytes {torn.offsets[0]} to"):
        dataset.read_sample(torn, 0)


def test_the_config_is_kept(tmp_path: Path) -> None:
    assert open_dataset(make_dataset(tmp_path)).config == {"size": 64}


def test_a_track_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"holds no track ann/video\.1/clip/9"):
        open_dataset(make_dataset(tmp_path)).read_track("ann", "video.1", "clip", 9)


def test_a_reader_with_another_face_model_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    open_dataset(tmp_path, FaceModelStamp(name="renamed", hash=HEAD.hash))
    with pytest.raises(PipelineError, match=r"face model head \(aaaaaaaaaaaa\), not other \(bbbbbbbbbbbb\)"):
        open_dataset(tmp_path, OTHER_HEAD)


def test_a_shard_of_another_face_model_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(make_dataset(tmp_path, face_model=OTHER_HEAD))
    with pytest.raises(PipelineError, match=r"shard-000000.tar: made with the face model other"):
        list(dataset.read_shard("shard-000000.tar"))


@pytest.mark.parametrize("description", [None, "", "[]", '{"face_model": {}}', '{"face_model": 3, "config": {}}'])
def test_another_folder_is_no_dataset(tmp_path: Path, description: str | None) -> None:
    if description is not None:
        (tmp_path / "dataset.json").write_text(description)
    with pytest.raises(PipelineError, match="not a dataset that preprocess made"):
        open_dataset(tmp_path)

"""A dataset exported to the original's training folders and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from samples import HEAD, make_sample
from shard_writer import write_shards

from jobs.commands.export import export
from jobs.export_folders import ExportFoldersConfig, run
from jobs.outputs import MisuseError
from pipeline.clips import read_clip
from pipeline.dataset import open_dataset, write_description
from pipeline.gdpw_folder import read_vertices, training_folder
from pipeline.ledger import ManifestRow, write_manifest
from pipeline.records import Kind
from pipeline.sources import scan

TRACKS = [("ann", 0, [3, 4, 5]), ("ann", 1, [9, 10]), ("bob [1]/x", 0, [0])]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    rows = []
    tracks = [[make_sample(number, identity, track) for number in numbers] for identity, track, numbers in TRACKS]
    places = write_shards(folder, tracks, HEAD)
    for (identity, track, numbers), (shard, offsets) in zip(TRACKS, places, strict=True):
        row = ManifestRow(
            identity=identity,
            video="video.1",
            clip="clip",
            track=track,
            frames=len(numbers),
            shard=shard,
            error_median_px=0.5,
            error_p95_px=1.0,
            jitter_px=0.5,
            split="train",
            numbers=numbers,
            offsets=offsets,
        )
        rows.append(row)
    write_manifest(rows, folder)
    write_description(folder, HEAD, {})
    return folder


def test_frames_are_read_back_equal(dataset: Path, tmp_path: Path) -> None:
    """Pictures byte by byte; meshes as stored, for float32 holds their fixed point exactly."""
    out = tmp_path / "out"
    said = run(ExportFoldersConfig(dataset=dataset, out=out))
    assert said == f"{out}: 6 frames in 3 folders of 2 people"
    opened = open_dataset(dataset)
    for row, clip in zip(opened.tracks, scan(out), strict=True):
        frames = list(read_clip(clip))
        assert clip.kind is Kind.GDPW_FOLDER
        assert [frame.number for frame in frames] == row.numbers
        for index, frame in enumerate(frames):
            sample = opened.read_sample(row, index)
            np.testing.assert_array_equal(frame.image, sample.image)
            mesh = read_vertices(Path(clip.path, f"{frame.number:07d}_posed_vertx.lz4"))
            np.testing.assert_array_equal(mesh, sample.vertices)


def test_folders_are_person_video_clip(dataset: Path, tmp_path: Path) -> None:
    run(ExportFoldersConfig(dataset=dataset, out=tmp_path / "out"))
    assert [(clip.identity, clip.video, clip.clip) for clip in scan(tmp_path / "out")] == [
        ("ann", "video.1", "clip"),
        ("ann", "video.1", "clip~2"),
        ("bob%20%5B1%5D%2Fx", "video.1", "clip"),
    ]


@pytest.mark.parametrize("name", ["id10001", "-obama_B-02", "_aocRetlk02", "000000#000200", "id10001~2"])
def test_published_names_stay_as_they_are(name: str) -> None:
    assert training_folder(Path("out"), name, name, name, 0) == Path("out", name, name, name)


@pytest.mark.parametrize(
    ("name", "folder"), [("..", "%2E."), (".hidden", "%2Ehidden"), ("a/b", "a%2Fb"), ("100%", "100%25")]
)
def test_names_that_no_folder_can_have_are_encoded(name: str, folder: str) -> None:
    assert training_folder(Path("out"), name, "v", "c", 0) == Path("out", folder, "v", "c")


def test_what_is_there_is_not_overwritten(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    with pytest.raises(MisuseError, match="not empty"):
        run(ExportFoldersConfig(dataset=dataset, out=tmp_path / "out"))


def test_the_format_must_suit_the_source(dataset: Path, tmp_path: Path) -> None:
    for source, format, wanted in ((dataset, "pth", "checkpoint"), (dataset / "dataset.json", "gdpw", "dataset")):
        result = CliRunner().invoke(export, [str(source), str(tmp_path / "out"), "--format", format])
        assert result.exit_code == 2
        assert f"--format {format} is for a {wanted}." in result.output
    assert not (tmp_path / "out").exists()


def test_the_command_exports_a_dataset(dataset: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(export, [str(dataset), str(tmp_path / "out"), "--format", "gdpw"])
    assert result.exit_code == 0
    assert "6 frames in 3 folders" in result.output

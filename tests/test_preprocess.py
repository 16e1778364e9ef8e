"""preprocess on real footage: clip -> shards, manifest and ledger, nothing lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset

from fit_deca.codes import Codes
from fit_deca.flame import Flame
from fit_deca.head import load_generic_head
from jobs.preprocess import PreprocessConfig, run
from pipeline.dataset import open_dataset
from pipeline.ledger import Status, read_ledger, read_manifest
from pipeline.render import Take, retarget
from pipeline.shards import FaceModelStamp
from pipeline.video import read_frames


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, excerpt: Path) -> Path:
    """A folder with the excerpt under an odd name, and a broken file."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "sub.dir").mkdir()
    shutil.copy(excerpt, folder / "sub.dir" / "phone #1 名.mp4")
    (folder / "broken.mp4").write_bytes(bytes(1000))
    return folder


@pytest.fixture(scope="module")
def summary_and_out(tmp_path_factory: pytest.TempPathFactory, inputs: Path) -> tuple[str, Path]:
    out = tmp_path_factory.mktemp("dataset") / "out"
    return run(PreprocessConfig(input=inputs, out=out)), out


@pytest.fixture(scope="module")
def out(summary_and_out: tuple[str, Path]) -> Path:
    return summary_and_out[1]


def test_the_summary_counts_the_rejects(summary_and_out: tuple[str, Path]) -> None:
    assert "12 frames in 1 track of 2 inputs, 1 rejected" in summary_and_out[0]


def test_every_input_is_in_the_ledger(out: Path, inputs: Path) -> None:
    broken, phone = read_ledger(out)
    assert (broken.input, broken.status, broken.reason) == (f"{inputs}/broken.mp4", Status.FAILED, "unreadable")
    assert (phone.input, phone.status, phone.reason) == (f"{inputs}/sub.dir/phone #1 名.mp4", Status.DONE, None)
    assert (phone.tracks, phone.frames) == (1, 12)
    assert phone.seconds > 0


def test_the_manifest_has_the_track_and_its_errors(out: Path) -> None:
    (row,) = read_manifest(out)
    assert (row.identity, row.clip, row.track, row.frames) == ("phone #1 名", "sub.dir/phone #1 名.mp4", 0, 12)
    assert (out / row.shard).is_file()
    assert 0 < row.error_median_px < 1.0
    assert row.error_median_px < row.error_p95_px < 3.0


def test_the_folder_holds_nothing_else(out: Path) -> None:
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    assert names == ["dataset.json", "ledger.parquet", "manifest.parquet", "shard-000000.tar"]


def test_plain_webdataset_reads_every_frame_with_its_time(out: Path, excerpt: Path) -> None:
    samples = list(webdataset.WebDataset(str(out / "shard-000000.tar"), shardshuffle=False).decode("rgb8"))
    frames = list(read_frames(excerpt))
    assert len(samples) == len(frames) == 12
    assert [sample["json"]["time"] for sample in samples] == [frame.time for frame in frames]
    assert all(sample["jpg"].shape == (256, 256, 3) for sample in samples)


def test_stored_codes_give_the_stored_vertices(out: Path) -> None:
    model = load_generic_head()
    dataset = open_dataset(out, FaceModelStamp.of(model))
    row = dataset.tracks[0]
    take = Take.of_samples(dataset.read_track(row.identity, row.video, row.clip, row.track))
    first = Codes(*(code[:1] for code in take.codes))
    again = retarget(Flame(model), first, take.codes, torch.from_numpy(take.recover))
    np.testing.assert_allclose(again.numpy(), take.vertices, atol=0.02)


def test_the_same_input_gives_the_same_shard(out: Path, inputs: Path, tmp_path: Path) -> None:
    run(PreprocessConfig(input=inputs, out=tmp_path / "again"))
    name = "shard-000000.tar"
    assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_what_the_scan_leaves_out_is_in_the_ledger_too(excerpt: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"path,identity\n{excerpt},ann\ngone.mp4,bob\n")
    run(PreprocessConfig(input=tmp_path / "list.csv", out=tmp_path / "out"))
    gone, done = read_ledger(tmp_path / "out")
    assert (gone.status, gone.reason, gone.tracks) == (Status.FAILED, "missing_video", 0)
    assert (done.status, done.input) == (Status.DONE, str(excerpt))
    assert [row.identity for row in read_manifest(tmp_path / "out")] == ["ann"]

"""preprocess on real footage: clip -> shards, manifest and ledger, nothing lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
import webdataset

from fit_deca.codes import Codes
from fit_deca.flame import Flame
from fit_deca.head import load_generic_head
from jobs.outputs import MisuseError
from jobs.preprocess import PreprocessConfig, run
from pipeline.crop import CropConfig
from pipeline.dataset import open_dataset
from pipeline.errors import PipelineError
from pipeline.ledger import Status, read_ledger, read_manifest
from pipeline.render import Take, retarget
from pipeline.shards import FaceModelStamp
from pipeline.video import read_frames


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    ray.init(num_cpus=1, address="local", object_store_memory=200e6, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


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
    assert 0 < phone.tracking < phone.seconds


def test_the_manifest_has_the_track_and_its_errors(out: Path) -> None:
    (row,) = read_manifest(out)
    assert (row.identity, row.clip, row.track, row.frames) == ("phone #1 名", "sub.dir/phone #1 名.mp4", 0, 12)
    assert (out / row.shard).is_file()
    assert 0 < row.error_median_px < 1.0
    assert row.error_median_px < row.error_p95_px < 3.0


def test_the_folder_holds_nothing_else(out: Path) -> None:
    names = sorted(path.name for path in out.iterdir() if path.name != ".pieces")
    assert names == [
        *("README.md", "dataset.json", "ledger.parquet", "manifest.parquet", "report.html", "shard-000000.tar"),
    ]


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


def test_codes_alone_give_the_same_meshes(out: Path, inputs: Path, tmp_path: Path) -> None:
    run(PreprocessConfig(input=inputs, out=tmp_path / "codes", store=("codes",)))
    dataset = open_dataset(tmp_path / "codes")
    row, stored = dataset.tracks[0], open_dataset(out)
    take = Take.of_samples(dataset.read_track(row.identity, row.video, row.clip, 0), Flame(load_generic_head()))
    with_both = Take.of_samples(stored.read_track(row.identity, row.video, row.clip, 0))
    np.testing.assert_allclose(take.vertices, with_both.vertices, atol=0.02)
    with pytest.raises(MisuseError, match=r'store: \["codes"\] there, \["vertices", "codes"\] now'):
        run(PreprocessConfig(input=inputs, out=tmp_path / "codes"))


def test_more_workers_than_cores_give_the_same_shard(out: Path, inputs: Path, tmp_path: Path) -> None:
    run(PreprocessConfig(input=inputs, out=tmp_path / "again", workers=3))
    name = "shard-000000.tar"
    assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_a_finished_run_begun_again_has_nothing_to_do(summary_and_out: tuple[str, Path], inputs: Path) -> None:
    summary, out = summary_and_out
    before = {path: path.stat().st_mtime for path in out.glob("*.tar")}
    assert run(PreprocessConfig(input=inputs, out=out)) == summary
    assert {path: path.stat().st_mtime for path in out.glob("*.tar")} == before


def test_other_options_in_the_same_folder_are_refused(out: Path, inputs: Path) -> None:
    with pytest.raises(MisuseError, match=r"crop.size: 256 there, 128 now"):
        run(PreprocessConfig(input=inputs, out=out, crop=CropConfig(size=128)))


def test_what_failed_is_done_again_on_demand(inputs: Path, excerpt: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "late.mp4").write_bytes(bytes(1000))
    shutil.copy(excerpt, tmp_path / "in" / "good.mp4")
    config = PreprocessConfig(input=tmp_path / "in", out=tmp_path / "out")
    assert "1 rejected" in run(config)
    shutil.copy(excerpt, tmp_path / "in" / "late.mp4")
    assert "1 rejected" in run(config)
    assert "24 frames in 2 tracks of 2 inputs, 0 rejected" in run(replace(config, retry="failed"))
    assert [row.identity for row in read_manifest(tmp_path / "out")] == ["good", "late"]


def test_too_many_failures_stop_the_run_and_are_in_the_ledger(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / f"{name}.mp4").write_bytes(bytes(1000))
    with pytest.raises(PipelineError, match=r"stopped after 2 failed inputs \(--max-failed 1\)"):
        run(PreprocessConfig(input=tmp_path / "in", out=tmp_path / "out", max_failed=1))
    assert len(read_ledger(tmp_path / "out")) == 2


def test_what_the_scan_leaves_out_is_in_the_ledger_too(excerpt: Path, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(f"path,identity\n{excerpt},ann\ngone.mp4,bob\n")
    run(PreprocessConfig(input=tmp_path / "list.csv", out=tmp_path / "out"))
    gone, done = read_ledger(tmp_path / "out")
    assert (gone.status, gone.reason, gone.tracks) == (Status.FAILED, "missing_video", 0)
    assert (done.status, done.input) == (Status.DONE, str(excerpt))
    assert [row.identity for row in read_manifest(tmp_path / "out")] == ["ann"]

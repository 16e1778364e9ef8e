import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
from filmed_dataset import write_filmed_dataset

from jobs.evaluate import EvaluateRunConfig, run
from jobs.outputs import MisuseError
from pipeline.errors import PipelineError
from pipeline.evaluation import METRICS
from pipeline.pieces import FOLDER


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, carphone: Path) -> Path:
    return write_filmed_dataset(tmp_path_factory.mktemp("filmed") / "dataset", carphone, frames=6, size=96)


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    ray.init(num_cpus=1, address="local", object_store_memory=200e6, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def config(dataset: Path, tmp_path_factory: pytest.TempPathFactory, _ray: None) -> EvaluateRunConfig:
    """Of a finished table with both models that need no weights."""
    out = tmp_path_factory.mktemp("table") / "out"
    config = EvaluateRunConfig(model="copy-source", dataset=dataset, out=out, perceptual_step=0)
    run(config)
    run(replace(config, model="mesh-warp"))
    return config


def test_the_table_holds_every_metric_with_its_interval(config: EvaluateRunConfig) -> None:
    table = json.loads((config.out / "metrics.json").read_text())
    assert set(table["models"]) == {"copy-source", "mesh-warp"}
    for model in table["models"].values():
        for name in ("l1", "psnr", "ssim", "akd", "expression", "pose", "missing"):
            for setting in ("self-first", "self-far"):
                mean = model[name][setting]
                assert mean["low"] <= mean["mean"] <= mean["high"]
                assert mean["videos"] == 2
        assert model["failed"] == 0
    ours, copied = (table["models"][name]["akd"]["self-first"] for name in ("mesh-warp", "copy-source"))
    assert ours["mean"] < copied["mean"]
    assert set(table["not_run"]) == {"lpips", "fid", "csim", "st_lpips", "st_lpips_face"}


def test_every_video_has_a_row(config: EvaluateRunConfig) -> None:
    rows = pq.read_table(config.out / "per_video.parquet").to_pylist()
    assert len(rows) == 2 * 6
    assert {metric.name for metric in METRICS} <= rows[0].keys()
    assert {row["fault"] for row in rows} == {""}


def test_the_report_shows_best_median_and_worst(config: EvaluateRunConfig) -> None:
    page = (config.out / "report.html").read_text()
    for words in ("best akd", "median akd", "worst akd", "Less copy-source", "not run", "<circle"):
        assert words in page


def test_the_same_seed_gives_the_same_numbers_and_a_rerun_works_out_what_is_missing(config: EvaluateRunConfig) -> None:
    before = (config.out / "metrics.json").read_bytes()
    pieces = sorted((config.out / FOLDER).rglob("[!.]*.json"))
    lost = [piece for piece in pieces if '"self-far' in piece.read_text() or "/self-far/" in piece.read_text()]
    kept = {piece: piece.stat().st_mtime_ns for piece in pieces if "/self-first/" in piece.read_text()}
    assert len(lost) == 4
    for piece in lost:
        piece.unlink()
    run(config)
    run(replace(config, model="mesh-warp"))
    assert (config.out / "metrics.json").read_bytes() == before
    assert kept == {piece: piece.stat().st_mtime_ns for piece in kept}


def test_other_options_in_the_same_folder_are_refused(config: EvaluateRunConfig) -> None:
    with pytest.raises(MisuseError, match=r"frames: 50 there, 5 now"):
        run(replace(config, frames=5))


def test_what_is_no_model_is_refused_before_anything_is_written(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="neither copy-source nor mesh-warp"):
        run(EvaluateRunConfig(model=str(tmp_path / "none.pth"), dataset=dataset, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_without_result_videos_is_refused(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    with pytest.raises(PipelineError, match=r"no result video in it; jobs.csv"):
        run(EvaluateRunConfig(model=str(tmp_path / "theirs"), dataset=dataset, out=tmp_path / "out"))
    assert (tmp_path / "out" / "jobs.csv").read_text().splitlines()[1].startswith("self-first/ann/video/clip/0,")

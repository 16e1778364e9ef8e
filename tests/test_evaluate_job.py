import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import ray
from filmed_dataset import write_filmed_dataset

from jobs.evaluate import EvaluateRunConfig, run
from jobs.outputs import MisuseError
from pipeline.dataset import open_dataset
from pipeline.encode import EncodeConfig, write_video
from pipeline.errors import PipelineError
from pipeline.evaluation_columns import METRICS
from pipeline.pictures import read_picture
from pipeline.pieces import FOLDER, Pieces
from pipeline.video import read_frames


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
    config = EvaluateRunConfig(models=("copy-source",), dataset=dataset, out=out, perceptual_step=0)
    run(config)
    run(replace(config, models=("mesh-warp",)))
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
    assert set(table["not_run"]) == {"lpips", "lpips_face", "fid", "csim", "st_lpips", "st_lpips_face"}


def test_every_video_has_a_row(config: EvaluateRunConfig) -> None:
    rows = pq.read_table(config.out / "per_video.parquet").to_pylist()
    assert len(rows) == 2 * 6
    assert {metric.name for metric in METRICS} <= rows[0].keys()
    assert {row["fault"] for row in rows} == {""}


def test_the_report_shows_best_median_and_worst(config: EvaluateRunConfig) -> None:
    page = (config.out / "report.html").read_text()
    for words in (
        "best, akd",
        "median, akd",
        "worst, akd",
        "mesh-warp less copy-source",
        "not run",
        "side by side",
        "<circle",
    ):
        assert words in page


def test_the_same_seed_gives_the_same_numbers_and_a_rerun_works_out_what_is_missing(config: EvaluateRunConfig) -> None:
    before = (config.out / "metrics.json").read_bytes()
    pieces = sorted((config.out / FOLDER).rglob("[!.]*.json"))
    lost = [piece for piece in pieces if '"self-far' in piece.read_text() or "/self-far/" in piece.read_text()]
    kept = {piece: piece.stat().st_mtime_ns for piece in pieces if "/self-first/" in piece.read_text()}
    assert len(lost) == 4
    for piece in lost:
        piece.unlink()
    run(replace(config, models=("copy-source", "mesh-warp")))
    assert (config.out / "metrics.json").read_bytes() == before
    assert kept == {piece: piece.stat().st_mtime_ns for piece in kept}


def test_other_options_in_the_same_folder_are_refused(config: EvaluateRunConfig) -> None:
    with pytest.raises(MisuseError, match=r"frames: 50 there, 5 now"):
        run(replace(config, frames=5))


def test_what_is_no_model_is_refused_before_anything_is_written(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="neither copy-source nor mesh-warp"):
        run(EvaluateRunConfig(models=(str(tmp_path / "none.pth"),), dataset=dataset, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_without_result_videos_is_refused(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    with pytest.raises(PipelineError, match=r"nor a result video \(jobs.csv\)"):
        run(EvaluateRunConfig(models=(str(tmp_path / "theirs"),), dataset=dataset, out=tmp_path / "out"))
    assert (tmp_path / "out" / "jobs.csv").read_text().splitlines()[1].startswith("self-first/ann/video/clip/0,")


def test_models_are_compared_two_by_two_video_by_video(config: EvaluateRunConfig) -> None:
    (gain,) = json.loads((config.out / "metrics.json").read_text())["differences"]
    assert (gain["model"], gain["less"]) == ("mesh-warp", "copy-source")
    rows = pq.read_table(config.out / "per_video.parquet").to_pylist()
    akd = {(row["model"], row["job"]): row["akd"] for row in rows if row["setting"] == "self-far"}
    jobs = sorted({job for _, job in akd})
    expected = sum(akd["mesh-warp", job] - akd["copy-source", job] for job in jobs) / len(jobs)
    assert gain["akd"]["self-far"]["mean"] == pytest.approx(expected)
    assert expected < 0


def test_results_of_another_program_stand_in_the_same_table(config: EvaluateRunConfig, tmp_path: Path) -> None:
    """The other program shows each driver itself, twice as large: its motion is right."""
    run(replace(config, models=(), export=True))
    pairs = config.out / "pairs"
    theirs = tmp_path / "theirs"
    with (pairs / "pairs.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    for line in lines:
        assert read_picture(pairs / line["source"]).shape == (96, 96, 3)
        frames = [cv2.resize(frame.image, (192, 192)) for frame in read_frames(pairs / line["driving"])]
        assert len(frames) == int(line["frames"])
        (theirs / line["result"]).parent.mkdir(parents=True, exist_ok=True)
        write_video(theirs / line["result"], frames, 25, config=EncodeConfig(encoder="libx264"))
    run(replace(config, models=(f"others={theirs}",)))
    models = json.loads((config.out / "metrics.json").read_text())["models"]
    assert list(models) == ["copy-source", "mesh-warp", "others"]
    for setting in ("self-first", "self-far"):
        assert models["others"]["akd"][setting]["mean"] < models["copy-source"]["akd"][setting]["mean"]
        assert models["others"]["ssim"][setting]["mean"] > 0.9


def test_an_exported_source_is_the_frame_that_is_animated(config: EvaluateRunConfig) -> None:
    run(replace(config, models=(), export=True))
    rows = pq.read_table(config.out / "per_video.parquet").to_pylist()
    dataset = open_dataset(config.dataset)
    (ann,) = (track for track in dataset.tracks if track.identity == "ann")
    for row in rows:
        if row["driving"].startswith("ann") and row["source"] == row["driving"]:
            index = ann.numbers.index(row["source_frame"])
            shown = read_picture(config.out / "pairs" / "source" / f"{row['job']}.png")
            assert np.array_equal(shown, dataset.read_sample(ann, index).image)


def test_a_killed_run_that_goes_on_gives_the_same_table_byte_for_byte(
    config: EvaluateRunConfig, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "jobs.cli", "evaluate", "copy-source", "mesh-warp", str(config.dataset), str(out)]
    command += ["--perceptual-step", "0", "--fitter", "landmarks", "--cpus", "1"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True, env=environment)
    while process.poll() is None and len(_judged(out)) < 4:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was to be killed before it was done"
    assert 4 <= len(_judged(out)) < 12
    assert not (out / "metrics.json").exists()
    again = replace(config, out=out, models=("copy-source", "mesh-warp"))
    run(again)
    whole = replace(again, out=tmp_path / "whole")
    run(whole)
    assert (out / "metrics.json").read_bytes() == (whole.out / "metrics.json").read_bytes()


def _judged(out: Path) -> list[str]:
    """Jobs with a result so far."""
    if not (out / FOLDER).is_dir():
        return []
    return [key for key, _ in Pieces(out).read_all() if not key.startswith("contestant ")]

"""`train` on a made-up dataset: alone, in two processes under Ray, stopped, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
import torch
from synthetic_dataset import write_dataset

from fit_deca.head import load_generic_head
from gdpw.checkpoint import export_released, load_checkpoint
from jobs.outputs import MisuseError
from jobs.recipe import Intervals, Recipe
from jobs.run_folder import RunFolder
from jobs.settings import change
from jobs.train import TrainConfig, TrainTask, run
from pipeline.errors import PipelineError

STEPS = 16
RECIPE = change(Recipe.preset("tiny", "both"), {"steps": STEPS, "learning_rate": {"base": 2e-3}, "accumulation": 1})
RECIPE = replace(RECIPE, every=Intervals(metrics=2, pictures=100, checkpoint=4))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("train") / "dataset", size=32)


@pytest.fixture(scope="module")
def small_ray() -> Iterator[None]:
    threads = {"env_vars": {"OMP_NUM_THREADS": "1"}}
    store = 200_000_000
    ray.init(num_cpus=2, address="local", object_store_memory=store, include_dashboard=False, runtime_env=threads)
    yield
    ray.shutdown()


def train(dataset: Path, folder: Path, recipe: Recipe = RECIPE, **options: object) -> list[dict]:
    """Run, and give the terms of all steps."""
    init = options.pop("init", None)
    task = TrainTask(dataset=dataset, run=folder, recipe=recipe, init=init, tensorboard=False)
    run(TrainConfig(task=task, **({"local": True} | options)))
    return terms(folder)


def terms(folder: Path) -> list[dict]:
    """The numbers, without those that depend on the clock."""
    others = ("pairs_per_second", "data_wait_share", "perceptual_network")
    return [{n: v for n, v in row.items() if n not in others} for row in RunFolder(folder).read_metrics()]


@pytest.fixture(scope="module")
def alone(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    train(dataset, folder)
    return folder


def stop_at(folder: Path, step: int) -> threading.Thread:
    """Send this process SIGTERM once the run got so far."""

    def wait() -> None:
        while (RunFolder(folder).last_metrics() or {"step": -1})["step"] < step:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_reconstruction_terms_fall(alone: Path) -> None:
    pixel = [row["pixel"] for row in terms(alone)]
    assert len(pixel) == STEPS
    assert sum(pixel[-4:]) < 0.8 * sum(pixel[:4])


def test_a_run_stopped_by_sigterm_goes_on_as_if_it_had_never_stopped(
    dataset: Path, alone: Path, tmp_path: Path
) -> None:
    stopper = stop_at(tmp_path, 5)
    stopped = train(dataset, tmp_path)
    stopper.join()
    assert 6 <= len(stopped) < STEPS
    assert load_checkpoint(RunFolder(tmp_path).checkpoints()[0]).step == len(stopped)
    assert train(dataset, tmp_path, resume=True) == terms(alone)


def test_a_run_on_a_stream_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """The checkpoint lies within an epoch of the stream, whose pairs differ from those read frame by frame."""
    dataset = write_dataset(tmp_path / "dataset", size=32, shard_bytes=100_000)
    streamed = change(RECIPE, {"reading": "stream", "stream": {"streams": 1, "steps_per_epoch": 6}})
    whole = train(dataset, tmp_path / "whole", streamed)
    train(dataset, tmp_path / "parts", replace(streamed, steps=8))
    assert train(dataset, tmp_path / "parts", streamed, resume=True) == whole
    assert whole[0] != train(dataset, tmp_path / "frames", replace(RECIPE, steps=1))[0]


def test_a_torn_checkpoint_is_passed_over_and_its_steps_are_made_again(
    dataset: Path, alone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(dataset, tmp_path, replace(RECIPE, steps=10))
    newest = RunFolder(tmp_path).checkpoints()[0]
    newest.write_bytes(newest.read_bytes()[:-5000])
    assert train(dataset, tmp_path, resume=True) == terms(alone)
    assert "passed over" in caplog.text
    assert newest.name in caplog.text


def test_accumulated_parts_train_the_same_pairs(dataset: Path, alone: Path, tmp_path: Path) -> None:
    """Batch norm sees parts, so the terms differ; the pixels of the first step hardly do."""
    rows = train(dataset, tmp_path, replace(RECIPE, steps=1, accumulation=2))
    assert rows[0]["pixel"] == pytest.approx(terms(alone)[0]["pixel"], rel=0.1)


def test_the_average_and_the_checkpoint_are_generators_to_use(alone: Path) -> None:
    head = load_generic_head()
    newest = RunFolder(alone).checkpoints()[0]
    for path in (RunFolder(alone).generator, newest):
        checkpoint = load_checkpoint(path)
        assert checkpoint.face_model == head.hash
        assert checkpoint.config.guidance == "both"
        assert checkpoint.step == STEPS
    assert load_checkpoint(newest).training["recipe"]["perceptual"] == "none"


def test_only_the_newest_checkpoints_stay(alone: Path) -> None:
    steps = [load_checkpoint(path).step for path in RunFolder(alone).checkpoints()]
    assert steps == [16, 12, 8]


def test_weights_to_begin_with_are_those_of_the_file(dataset: Path, alone: Path, tmp_path: Path) -> None:
    export_released(tmp_path / "released.pth", load_checkpoint(RunFolder(alone).checkpoints()[0]))
    rows = train(dataset, tmp_path / "run", replace(RECIPE, steps=2), init=tmp_path / "released.pth")
    assert [row["step"] for row in rows] == [0, 1]
    assert rows[0]["pixel"] < 0.8 * terms(alone)[0]["pixel"]


def test_a_loss_that_is_not_finite_stops_with_step_and_terms(dataset: Path, tmp_path: Path) -> None:
    recipe = change(RECIPE, {"losses": {"pixel": 1e39}})
    with pytest.raises(PipelineError, match=r"not finite, step 0: \{'pixel': inf"):
        train(dataset, tmp_path, recipe)
    assert not RunFolder(tmp_path).checkpoints()


def test_a_folder_with_a_run_is_not_begun_again(dataset: Path, alone: Path) -> None:
    with pytest.raises(MisuseError, match="holds a run already; --resume"):
        train(dataset, alone)


def test_a_generator_of_other_settings_does_not_resume(dataset: Path, alone: Path) -> None:
    with pytest.raises(MisuseError, match="has another generator"):
        train(dataset, alone, change(RECIPE, {"generator": {"levels": 4}, "steps": 20}), resume=True)


def test_workers_that_cannot_share_a_batch_are_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="3 workers with accumulation 1 cannot share a batch of 4"):
        train(dataset, tmp_path, local=False, workers=3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="of machines without a GPU")
def test_graphs_are_refused_where_there_is_no_gpu(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="CUDA graphs need an NVIDIA GPU, not cpu"):
        train(dataset, tmp_path, change(RECIPE, {"step": {"graphed": True}}))


@pytest.fixture(scope="module")
def together(dataset: Path, small_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    train(dataset, folder, local=False, workers=2)
    return folder


def test_two_workers_train_on_the_same_pairs_to_the_same_losses_as_one(alone: Path, together: Path) -> None:
    """Up to rounding, which two players that answer each other let grow from step to step."""
    for step, (one, two) in enumerate(zip(terms(alone)[:8], terms(together)[:8], strict=True)):
        assert two == pytest.approx(one, rel=1e-6 if step < 2 else 1e-4 if step < 5 else 1e-3)


def test_a_killed_worker_is_replaced_and_the_losses_are_those_of_a_run_without_a_death(
    dataset: Path, together: Path, tmp_path: Path
) -> None:
    import psutil  # ray brings it along, on a path that it adds when it is imported

    killed = []

    def kill() -> None:
        while (RunFolder(tmp_path).last_metrics() or {"step": -1})["step"] < 5:
            time.sleep(0.02)
        children = psutil.Process().children(recursive=True)
        workers = [child for child in children if "RayTrainWorker" in child.name() + " ".join(child.cmdline())]
        killed.append(workers[-1].pid)
        workers[-1].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    rows = train(dataset, tmp_path, local=False, workers=2)
    killer.join()
    assert killed
    assert rows == terms(together)


def test_a_line_of_metrics_holds_a_step(alone: Path) -> None:
    lines = [json.loads(line) for line in RunFolder(alone).metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(STEPS))
    assert {"pixel", "discriminator", "pairs_per_second", "data_wait_share", "perceptual_network"} <= lines[0].keys()

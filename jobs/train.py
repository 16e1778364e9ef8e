"""A dataset -> a trained generator: the processes that train it, started again where they die."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import distributed as dist
from tqdm import tqdm

from jobs.outputs import MisuseError
from jobs.recipe import Recipe
from jobs.run_folder import RunFolder
from jobs.settings import as_yaml
from jobs.train_worker import TrainTask, train
from pipeline.atomic import atomic_path
from pipeline.dataset import open_dataset
from pipeline.errors import PipelineError
from pipeline.storage import for_arrow

MAX_FAILURES = 3
"""How often the processes are started again after one of them died."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """workers: processes that train together, one a GPU where there are any. resume: go on in a folder that has a run.

    local: train in this process, without Ray; under torchrun, which then says how many there are, in each of its own.
    address: of a Ray that runs; None starts one.
    """

    task: TrainTask
    workers: int = 1
    resume: bool = False
    local: bool = False
    address: str | None = None


def run(config: TrainConfig) -> str:
    """Train. Returns a summary for people.

    Raises MisuseError if the run's folder holds a run already and `resume` is not set, PipelineError for inputs that
    cannot be used, a loss that is not finite, and processes that died too often.
    """
    task = replace(config.task, dataset=config.task.dataset.absolute(), run=config.task.run.absolute())
    world = int(os.environ.get("WORLD_SIZE", "1")) if config.local else config.workers
    _refuse_uneven(task.recipe, world)
    open_dataset(task.dataset).require("vertices")
    folder = RunFolder(task.run)
    if int(os.environ.get("RANK", "0")) == 0 or not config.local:
        _prepare(folder, task.recipe, resume=config.resume)
    with _progress(folder, task.recipe.steps):
        if config.local:
            _train_here(task)
        else:
            _train_under_ray(task, config)
    return _summary(folder, task.recipe)


def _prepare(folder: RunFolder, recipe: Recipe, *, resume: bool) -> None:
    if not resume and (folder.checkpoints() or folder.metrics.exists()):
        raise MisuseError(f"{folder.path}: holds a run already; --resume goes on with it, or name a new folder")
    for left in (folder.stop, folder.fault):
        left.unlink(missing_ok=True)
    with atomic_path(folder.config) as partial:
        partial.write_text(as_yaml(recipe.tree()))


def _refuse_uneven(recipe: Recipe, workers: int) -> None:
    parts = workers * recipe.accumulation
    if recipe.pairs.batch_size % parts:
        raise MisuseError(
            f"{workers} workers with accumulation {recipe.accumulation} cannot share a batch of "
            f"{recipe.pairs.batch_size} evenly; choose a --batch-size that {parts} divides"
        )


def _train_here(task: TrainTask) -> None:
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else None
    distributed = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if device:
        torch.cuda.set_device(device)
    if distributed:
        dist.init_process_group("nccl" if device else "gloo")
    try:
        with _stop_on_sigterm(RunFolder(task.run)):
            train(task, device or torch.device("cpu"))
    except FloatingPointError as error:
        raise PipelineError(f"{task.run}: a loss is not finite, {error}") from error
    finally:
        if distributed:
            dist.destroy_process_group()


def _train_under_ray(task: TrainTask, config: TrainConfig) -> None:
    from jobs.cluster import cluster

    folder = RunFolder(task.run)
    with cluster(config.address), _stop_on_sigterm(folder):  # in this order: Ray has a handler of its own
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.base_trainer import TrainingFailedError
        from ray.train.torch import TorchTrainer

        on_gpus = ray.cluster_resources().get("GPU", 0) >= config.workers
        where, store = for_arrow(task.run)
        trainer = TorchTrainer(
            _ray_worker,
            train_loop_config={"task": task},
            scaling_config=ScalingConfig(
                num_workers=config.workers, use_gpu=on_gpus, resources_per_worker={"CPU": 1, "GPU": int(on_gpus)}
            ),
            run_config=RunConfig(
                name="ray",
                storage_path=where,
                storage_filesystem=store,
                failure_config=FailureConfig(max_failures=MAX_FAILURES),
            ),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            reason = str(error).strip().splitlines()[-1]
            raise PipelineError(f"{task.run}: training died {MAX_FAILURES + 1} times, lastly of: {reason}") from error
    if folder.fault.exists():
        raise PipelineError(folder.fault.read_text())


def _ray_worker(given: dict[str, Any]) -> None:
    """What to start again for is death, not a loss that would be the same again."""
    from ray.train.torch import get_device

    task: TrainTask = given["task"]
    try:
        train(task, get_device())
    except FloatingPointError as error:
        RunFolder(task.run).fault.write_text(f"{task.run}: a loss is not finite, {error}")


@contextmanager
def _stop_on_sigterm(folder: RunFolder) -> Iterator[None]:
    """SIGTERM asks the run to stop: its processes, wherever they are, see that in its folder."""

    def ask(*_: object) -> None:
        folder.stop.touch()

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(folder: RunFolder, steps: int) -> Iterator[None]:
    """A bar that follows the metrics, whichever process writes them."""
    if int(os.environ.get("RANK", "0")):
        yield
        return
    ended = threading.Event()

    def follow() -> None:
        with tqdm(total=steps, unit="step", disable=None) as bar:
            while not ended.wait(1) and not bar.disable:
                if rows := folder.last_metrics():
                    bar.n = rows["step"] + 1
                    bar.set_postfix_str(f"{rows['pairs_per_second']:.0f} pairs/s")

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _summary(folder: RunFolder, recipe: Recipe) -> str:
    last = folder.last_metrics()
    done = last["step"] + 1 if last else 0
    stopped = "" if done >= recipe.steps else ", stopped; --resume goes on"
    return f"{folder.path}: {done} steps of {recipe.pairs.batch_size} pairs{stopped}"

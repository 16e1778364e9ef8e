"""Where the networks of the perceptual terms have their weights."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from gdpw.perceptual import PerceptualName, PerceptualNetwork, Vgg16ShiftTolerant, Vgg19
from pipeline.assets import require
from pipeline.errors import PipelineError

WHEEL, WHEEL_FILE = "stlpips-pytorch", "stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth"


def load_perceptual(name: PerceptualName) -> PerceptualNetwork | None:
    """The network, or None for "none".

    Raises PipelineError if its file is not there, with what to do, and CheckpointError if it is another file.
    """
    if name == "none":
        return None
    if name == "vgg19":
        return Vgg19.load(require("vgg19"))
    try:
        path = Path(str(distribution(WHEEL).locate_file(WHEEL_FILE)))
    except PackageNotFoundError as error:
        raise PipelineError(
            f"vgg16-st needs the weights in the package {WHEEL}: pip install 'gdpw-pipe[train]'; or --perceptual none"
        ) from error
    return Vgg16ShiftTolerant.load(path)

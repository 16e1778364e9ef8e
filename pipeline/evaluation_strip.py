"""A strip of pictures a job, for people: source, driver, result and, where the driver is the truth, the error."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.pictures import read_picture, write_picture

_GAIN = 3
"""By which errors are multiplied, so that they are seen."""

Picture = NDArray[np.uint8]


def strip_path(folder: Path, name: str) -> Path:
    """Where the strip of a job lies."""
    return folder / f"{name}.jpg"


def write_strip(path: Path, source: Picture, driving: Picture, result: Picture, *, truth: bool) -> None:
    """Write the pictures, (S, S, 3) each. truth: whether the result should be the driver's picture."""
    error = [error_picture(result, driving)] if truth else []
    write_picture(path, np.concatenate([source, driving, result, *error], axis=1))


def read_strip(path: Path) -> list[Picture]:
    """Its three or four pictures. Raises InputError where there is no such strip."""
    strip = read_picture(path)
    return np.split(strip, strip.shape[1] // strip.shape[0], axis=1)


def error_picture(result: Picture, truth: Picture) -> Picture:
    """Where a result differs, dark to bright: (H, W, 3) RGB."""
    error = np.abs(result.astype(np.int16) - truth).mean(2) * _GAIN
    colours = cv2.applyColorMap(error.clip(0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(colours[..., ::-1])

"""A strip of pictures a job, for people: source, driver, result, error."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.observer import Seen
from pipeline.pictures import write_picture

_GAIN = 3
"""By which errors are multiplied, so that they are seen."""


def write_strip(path: Path, source: NDArray[np.uint8], truth: Seen, result: Seen) -> None:
    """Write the middle one of the frames, beside the source (S, S, 3)."""
    middle = len(truth.images) // 2
    driving, made = truth.images[middle], result.images[middle]
    write_picture(path, np.concatenate([source, driving, made, error_picture(made, driving)], axis=1))


def error_picture(result: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where a result differs, dark to bright: (H, W, 3) RGB."""
    error = np.abs(result.astype(np.int16) - truth).mean(2) * _GAIN
    colours = cv2.applyColorMap(error.clip(0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.ascontiguousarray(colours[..., ::-1])

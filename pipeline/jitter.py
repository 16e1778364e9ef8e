"""How much a fitted mesh trembles from frame to frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def jitter_px(vertices: NDArray[np.float32], numbers: NDArray[np.int64]) -> float:
    """Mean length of the second difference of a track's vertices, in pixels of its crops.

    vertices: (T, V, 2 or more), x and y first. numbers: (T,) frame numbers; only three frames that follow one another
    count, for across a gap motion looks like trembling. 0 where there are none.
    Of steady motion it is 0, of points that tremble independently by s pixels each way 3.1 s. It is taken of the
    vertices, not of landmarks: they are what a dataset holds, what is drawn and what a model learns from, and can be
    measured again in any dataset.
    """
    consecutive = (numbers[1:-1] - numbers[:-2] == 1) & (numbers[2:] - numbers[1:-1] == 1)
    accelerations = np.diff(vertices[..., :2], n=2, axis=0)[consecutive]
    return float(np.linalg.norm(accelerations, axis=-1).mean()) if len(accelerations) else 0.0

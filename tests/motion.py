"""How a tracked head turns and opens its mouth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Track

UPPER_LIP, LOWER_LIP, RIGHT_EYE, LEFT_EYE = 13, 14, 33, 263
"""MediaPipe's points: inner edges of the lips in the middle, outer corners of the eyes."""


class Motion(NamedTuple):
    """yaw: (T,) degrees. jaw: (T,) distance of the inner lips, in distances between the eyes' outer corners."""

    yaw: NDArray[np.float64]
    jaw: NDArray[np.float64]


def motion_of(track: Track) -> Motion:
    """Yaw from the tracker's own rotation, the opening of the mouth from its points in space."""
    facing = track.head_pose[:, :, 2].astype(np.float64)
    points = track.landmarks.astype(np.float64)

    def distance(one: int, other: int) -> NDArray[np.float64]:
        return np.linalg.norm(points[:, one] - points[:, other], axis=1)

    yaw = np.degrees(np.arctan2(facing[:, 0], facing[:, 2]))
    return Motion(yaw, distance(UPPER_LIP, LOWER_LIP) / distance(RIGHT_EYE, LEFT_EYE))


def correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, other)[0, 1])

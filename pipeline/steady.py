"""Landmarks without their trembling, and without delay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_REACH = 0.09
"""Seconds to either side: two frames at 25 and 30 a second."""
_TREMBLE = 0.002
"""Typical trembling of a resting face's points, in face sizes: half a pixel of 256."""


def steady(times: NDArray[np.float64], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each point moved towards the parabola through its neighbours in time, the less the further it is from it.

    times: (T,) rising seconds. landmarks: (T, N, 3); the face's size is that of each frame's box of x and y.
    Returns (T, N, 3). Steady motion stays where it is, since a parabola follows it; a blink stays as deep, since it
    is further off than points tremble; at rest trembling is less than half. Frames with fewer than three others within
    0.09 s stay as they are.
    """
    size = np.ptp(landmarks[..., :2], axis=1).max(1)
    tremble = _TREMBLE * size[:, None, None]
    smooth = landmarks.copy()
    first = np.searchsorted(times, times - _REACH - 1e-6)
    counts = np.searchsorted(times, times + _REACH + 1e-6) - first
    for count in np.unique(counts[counts >= 4]).tolist():
        frames = np.flatnonzero(counts == count)
        neighbours = first[frames, None] + np.arange(count)
        weights = _parabola_weights(times[neighbours] - times[frames, None])
        smooth[frames] = sum(weights[:, n, None, None] * landmarks[neighbours[:, n]] for n in range(count))
    apart = landmarks - smooth
    distance = np.linalg.norm(apart[..., :2], axis=-1, keepdims=True)
    return smooth + apart * (distance**2 / (distance**2 + tremble**2))


def _parabola_weights(offsets: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much each of (F, K) neighbours counts in the value at 0 of their least-squares parabola."""
    powers = np.stack([np.ones_like(offsets), offsets / _REACH, (offsets / _REACH) ** 2], axis=2)
    return np.linalg.pinv(powers)[:, 0].astype(np.float32)

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
    behind = np.searchsorted(times, times + _REACH + 1e-6)
    for frame, (start, stop) in enumerate(zip(first.tolist(), behind.tolist(), strict=True)):
        if stop - start >= 4:
            weights = _parabola_weights(times[start:stop] - times[frame])
            smooth[frame] = np.tensordot(weights, landmarks[start:stop], axes=1)
    apart = landmarks - smooth
    distance = np.linalg.norm(apart[..., :2], axis=-1, keepdims=True)
    return smooth + apart * (distance**2 / (distance**2 + tremble**2))


def _parabola_weights(offsets: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much each of (K,) neighbours counts in the value at 0 of their least-squares parabola."""
    powers = np.stack([np.ones_like(offsets), offsets / _REACH, (offsets / _REACH) ** 2], axis=1)
    return np.linalg.pinv(powers)[0].astype(np.float32)

"""The jaw's pivot and how skin goes along with it."""

from __future__ import annotations

import numpy as np

from fit_deca.build_head.canonical_face import MOUTH
from fit_deca.build_head.laplacian import Array, Indices, diffuse, smoothstep

JAW = np.array([0, -0.005, -0.012])
"""Between the ears."""

_SOFTNESS = 0.014
_THROAT_SLOPE = 0.2


def jaw_share(points: Array, faces: Indices) -> Array:
    """How far skin (V, 3), the canonical face's vertices first, goes along with the jaw: (V,) in 0..1.

    Below the line from the pivot by the corners of the mouth to its middle it does, but for the neck. The faces must
    be open between the lips, so that these part sharply while the cheeks stretch.
    """
    below, before = points[:, 1] - JAW[1], points[:, 2] - JAW[2]
    _, corner_below, corner_before = points[MOUTH[0]] - JAW
    mouth_line = corner_below * np.minimum(before / corner_before, 1)
    lower = (below < mouth_line) & (before > -_THROAT_SLOPE * below)
    return smoothstep(diffuse(lower.astype(float), _SOFTNESS, points, faces))

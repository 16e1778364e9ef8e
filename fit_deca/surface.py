"""The nearest points on a triangle mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Points = NDArray[np.float64]

_NEAR = 24
"""Faces with the nearest middles, among which the nearest is looked for."""
_ALONG = 0.3
"""Cosine between a point's normal and a face's from which on the face may be the one below the point."""


class Surface:
    """Some faces of a mesh, to find points on."""

    def __init__(self, vertices: Points, faces: NDArray[np.int64], chosen: NDArray[np.int64]) -> None:
        """vertices: (V, 3). faces: (F, 3). chosen: the numbers of the faces that count."""
        self._chosen, self._corners = chosen, vertices[faces[chosen]]
        a, b, c = np.moveaxis(self._corners, 1, 0)
        normals = np.cross(b - a, c - a)
        self._normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
        self._tree = KDTree(self._corners.mean(1))

    def nearest(self, points: Points, normals: Points | None = None) -> tuple[NDArray[np.int64], Points]:
        """The point of the surface nearest to each of (P, 3): faces (P,) and weights of their corners (P, 3).

        normals: (P, 3); with them only faces that look about the same way count, where there is one nearby.
        """
        near = self._tree.query(points, k=min(_NEAR, len(self._chosen)))[1].reshape(len(points), -1)
        bary = closest_in_triangles(points[:, None], self._corners[near])
        distance = np.linalg.norm((bary[..., None] * self._corners[near]).sum(2) - points[:, None], axis=2)
        if normals is not None:
            facing = (self._normals[near] * normals[:, None]).sum(2) > _ALONG
            distance = np.where(facing | ~facing.any(1, keepdims=True), distance, np.inf)
        best = distance.argmin(1)[:, None]
        face = np.take_along_axis(near, best, axis=1)[:, 0]
        return self._chosen[face], np.take_along_axis(bary, best[..., None], axis=1)[:, 0]


def closest_in_triangles(
    points: Points,  # (..., 3)
    corners: Points,  # (..., 3, 3) corners along the last axis but one
) -> Points:  # (..., 3) weights of the corners, not negative, with the sum 1
    """Where in each triangle the point nearest to a point lies."""
    a, b, c = np.moveaxis(corners, -2, 0)
    ab, ac, ap = b - a, c - a, points - a
    dots = [(x * y).sum(-1) for x, y in [(ab, ab), (ab, ac), (ac, ac), (ap, ab), (ap, ac)]]
    (bb, bc, cc, pb, pc), tiny = np.broadcast_arrays(*dots), 1e-30
    area = np.maximum(bb * cc - bc * bc, tiny)
    v, w = (cc * pb - bc * pc) / area, (bb * pc - bc * pb) / area
    inside = np.stack([1 - v - w, v, w], axis=-1)
    zero = np.zeros_like(v)
    along_ab, along_ac = np.clip(pb / np.maximum(bb, tiny), 0, 1), np.clip(pc / np.maximum(cc, tiny), 0, 1)
    along_bc = np.clip((pc - pb - bc + bb) / np.maximum(bb - 2 * bc + cc, tiny), 0, 1)
    candidates = np.stack(
        [
            np.where((inside >= 0).all(-1, keepdims=True), inside, np.nan),
            np.stack([1 - along_ab, along_ab, zero], axis=-1),
            np.stack([1 - along_ac, zero, along_ac], axis=-1),
            np.stack([zero, 1 - along_bc, along_bc], axis=-1),
        ]
    )
    distance = np.linalg.norm((candidates[..., None] * corners).sum(-2) - points, axis=-1)
    best = np.nan_to_num(distance, nan=np.inf).argmin(0)
    return np.take_along_axis(candidates, best[None, ..., None], axis=0)[0]

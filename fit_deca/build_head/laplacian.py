"""The Laplacian of a triangle mesh and two ways to be smooth by it. Points are (V, 3) in metres, faces (F, 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def cotangent_laplacian(points: Array, faces: Indices) -> sparse.csr_array:
    """The stiffness matrix L (V, V) of linear elements: u @ L @ u is the squared gradient of u over the surface.

    Source: Pinkall and Polthier, Computing discrete minimal surfaces (1993).
    """
    rows, columns, values = [], [], []
    for corner in range(3):
        apex, a, b = np.roll(faces, -corner, axis=1).T
        to_a, to_b = points[a] - points[apex], points[b] - points[apex]
        half_cotangent = (to_a * to_b).sum(axis=1) / np.linalg.norm(np.cross(to_a, to_b), axis=1) / 2
        rows += [a, b]
        columns += [b, a]
        values += [half_cotangent, half_cotangent]
    index = (np.concatenate(rows), np.concatenate(columns))
    neighbours = sparse.csr_array((np.concatenate(values), index), shape=(len(points), len(points)))
    return (sparse.diags_array(neighbours.sum(axis=1)) - neighbours).tocsr()


def vertex_areas(points: Array, faces: Indices) -> Array:
    """A third of the area of the triangles around each vertex, (V,)."""
    a, b, c = points[faces].transpose(1, 0, 2)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    shares = np.repeat(areas / 3, 3)
    return np.bincount(faces.ravel(), shares, minlength=len(points)).astype(np.float64)


def diffuse(values: Array, reach: float, points: Array, faces: Indices) -> Array:
    """Values (V,) smeared along the surface over about `reach` metres; they do not cross openings."""
    mass = sparse.diags_array(vertex_areas(points, faces))
    return spsolve((mass + reach**2 * cotangent_laplacian(points, faces)).tocsc(), mass @ values)


def fair(points: Array, faces: Indices, scale: Array) -> Array:
    """The surface that bends least and yet stays near the points, (V, 3).

    scale: (V,) metres; a point pulls at the surface within about this distance, so that a smaller one holds more
    firmly. A point of infinite scale goes where the surface goes.
    """
    areas = vertex_areas(points, faces)
    laplacian = cotangent_laplacian(points, faces)
    bending = laplacian @ sparse.diags_array(1 / areas) @ laplacian
    pull = areas / scale**4
    return spsolve((bending + sparse.diags_array(pull)).tocsc(), pull[:, None] * points)


def smoothstep(t: Array) -> Array:
    """From 0 at 0 and below to 1 at 1 and above, without a kink."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)

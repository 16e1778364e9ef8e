"""How the generic head varies: principal components of smooth random displacements of its skin.

A displacement is a sum of the Laplacian's eigenfunctions along x, y and z, each times an independent Gaussian number,
the finer the smaller. Codes of unit variance then give plausible heads, and the first codes matter most, as FLAME's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

from fit_deca.build_head.canonical_face import CANONICAL_POINTS, LEFT_EYE, MOUTH, NOSE, RIGHT_EYE
from fit_deca.build_head.laplacian import Array, Indices, cotangent_laplacian, smoothstep, vertex_areas
from fit_deca.build_head.mesh import HeadMesh
from fit_deca.codes import CODE_SIZES

_FUNCTIONS = 60
"""Eigenfunctions of either parity along each axis, of which the components are made: more than can be told apart."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SmoothField:
    """Random smooth displacements of a surface of S vertices that is its own mirror image.

    laplacian: (S, S) stiffness. areas: (S,) square metres. mirror: (S,) the vertex on the other side.
    detail: (S,) how many times more functions than elsewhere share an area: features move finer than the skull.
    window: (S,) 0..1, a factor of all displacements; where it is 0, nothing moves.
    spread: metres, root mean square along x, y and z of the coarsest function; three different numbers, as otherwise
    components along different axes could not be told apart. length: metres, times sqrt(detail);
    functions finer than waves of 2 pi times this get small.
    asymmetry: size of displacements that differ between the sides, in proportion to those that do not.
    """

    laplacian: sparse.csr_array
    areas: Array
    mirror: Indices
    detail: Array
    window: Array
    spread: tuple[float, float, float]
    length: float
    asymmetry: float

    def components(self, count: int, without: Array | None = None) -> Array:
        """The first principal components, (S, 3, count), each times its standard deviation.

        without: (S, 3, R) displacements that do not count as such. A component is its own mirror image or that
        image's negative. Of one side's numbers, weighted by area and detail, the largest is positive.
        """
        even, odd = self._functions(1), self._functions(-1)
        symmetric, skew = (self._principal(families, without) for families in ((odd, even, even), (even, odd, odd)))
        components = np.concatenate([symmetric, self.asymmetry * skew], axis=2)
        order = np.argsort(-np.linalg.norm(self._weighted(components), axis=0), kind="stable")
        return components[:, :, order[:count]]

    def _functions(self, sign: int) -> Array:
        """Eigenfunctions that mirror into themselves (1) or their negatives (-1), (S, N), finer ones smaller."""
        half = np.flatnonzero((self.window > 0) & (np.arange(len(self.mirror)) < self.mirror + (sign > 0)))
        pick = sparse.csr_array((np.ones(len(half)), (half, np.arange(len(half)))), shape=(len(self.mirror), len(half)))
        unfold = (pick + sign * pick[self.mirror]).tocsr()
        weights = self.areas * self.detail
        stiffness = (unfold.T @ self.laplacian @ unfold).tocsc()
        mass = (unfold.T @ sparse.diags_array(weights) @ unfold).tocsc()
        start = np.random.default_rng(0).standard_normal(len(half))
        eigenvalues, vectors = eigsh(stiffness, _FUNCTIONS, mass, sigma=-1.0, v0=start)
        functions = unfold @ vectors * np.sqrt(weights.sum()) / (1 + self.length**2 * eigenvalues)
        return functions * self.window[:, None]

    def _principal(self, families: tuple[Array, Array, Array], without: Array | None) -> Array:
        axes = zip(families, self.spread, np.eye(3), strict=True)
        fields = [spread * family[:, None, :] * axis[:, None] for family, spread, axis in axes]
        weighted = self._weighted(np.concatenate(fields, axis=2))
        if without is not None:
            unwanted = np.linalg.qr(self._weighted(without))[0]
            weighted -= unwanted @ (unwanted.T @ weighted)
        directions, deviations, _ = np.linalg.svd(weighted, full_matrices=False)
        parts = directions * deviations
        one_side = parts[np.repeat(np.arange(len(self.mirror)) <= self.mirror, 3)]
        parts *= np.sign(one_side[np.abs(one_side).argmax(axis=0), np.arange(parts.shape[1])])
        return parts.reshape(len(self.areas), 3, -1) / self._root[:, None, None]

    def _weighted(self, fields: Array) -> Array:
        return (fields * self._root[:, None, None]).reshape(-1, fields.shape[2])

    @property
    def _root(self) -> Array:
        weights = self.areas * self.detail
        return np.sqrt(weights / weights.sum())


def shape_components(mesh: HeadMesh) -> Array:
    """(V, 3, 100) metres: the whole head, finest at eyes, nose and mouth. They neither move it nor turn it."""
    skin = mesh.points[mesh.skin]
    moved = np.broadcast_to(np.eye(3), (len(skin), 3, 3))
    turned = np.cross(np.eye(3), skin[:, None]).transpose(0, 2, 1)
    field = SmoothField(
        **_surface(mesh, closed=True),
        detail=1
        + 8 * _near(mesh, range(CANONICAL_POINTS), 0.04)
        + 40 * _near(mesh, (*RIGHT_EYE, *LEFT_EYE, *MOUTH, *NOSE), 0.03),
        window=np.ones(len(skin)),
        spread=(0.0022, 0.0027, 0.0025),
        length=0.11,
        asymmetry=0.3,
    )
    components = field.components(CODE_SIZES["shape"], without=np.concatenate([moved, turned], axis=2))
    return _follow(mesh, components)


def expression_components(mesh: HeadMesh) -> Array:
    """(V, 3, 50) metres: the face within its rim, finest at lids and lips, which move apart; eyeballs stay."""
    in_face = np.isin(mesh.skin, mesh.skin_faces[: mesh.face_count])
    skin = mesh.points[mesh.skin]
    beyond_rim = cKDTree(skin[in_face]).query(skin)[0] - cKDTree(skin[~in_face]).query(skin)[0]
    field = SmoothField(
        **_surface(mesh, closed=False),
        detail=1 + 10 * _near(mesh, MOUTH, 0.03) + 10 * _near(mesh, (*RIGHT_EYE, *LEFT_EYE), 0.02),
        window=smoothstep(0.5 - beyond_rim / 0.03),
        spread=(0.0018, 0.0022, 0.0008),
        length=0.05,
        asymmetry=0.5,
    )
    components = _follow(mesh, field.components(CODE_SIZES["expression"]))
    components[np.concatenate(mesh.eyeballs)] = 0
    return components


def _surface(mesh: HeadMesh, closed: bool) -> dict[str, Any]:
    """What a field must know of the skin. closed: lids and lips hold together across their openings."""
    points, faces = mesh.points[mesh.skin], np.searchsorted(mesh.skin, mesh.skin_faces)
    laplacian = cotangent_laplacian(points, faces)
    if closed:
        laplacian = laplacian + cotangent_laplacian(points, np.searchsorted(mesh.skin, mesh.covers))
    mirror = np.searchsorted(mesh.skin, mesh.mirror[mesh.skin])
    return {"laplacian": laplacian, "areas": vertex_areas(points, faces), "mirror": mirror}


def _near(mesh: HeadMesh, vertices: Iterable[int], reach: float) -> Array:
    """(S,) from 1 at these vertices to 0 at `reach` metres from them."""
    return smoothstep(1 - cKDTree(mesh.points[list(vertices)]).query(mesh.points[mesh.skin])[0] / reach)


def _follow(mesh: HeadMesh, components: Array) -> Array:
    """Displacements of the skin (S, 3, N) -> of all vertices (V, 3, N)."""
    return (mesh.follow @ components.reshape(len(components), -1)).reshape(-1, *components.shape[1:])

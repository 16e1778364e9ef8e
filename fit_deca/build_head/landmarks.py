"""Where MediaPipe's 478 points and the 68 points lie on the generic head."""

from __future__ import annotations

import numpy as np

from fit_deca.build_head.canonical_face import CANONICAL_POINTS, CONTOUR_68, INNER_68
from fit_deca.build_head.laplacian import Array, Indices
from fit_deca.build_head.mesh import HeadMesh
from fit_deca.model_file import Correspondence, LandmarkEmbedding

_LAST_TURN = 39
_CHIN = 8
_SLIDES = np.linspace(0, 0.7, 71)
"""How far a point of the contour may slide towards the middle of the face."""


def mediapipe_points(mesh: HeadMesh) -> Correspondence:
    """All 478: the vertices of the canonical face, then the irises, the right one first."""
    return _on_vertices(mesh, np.concatenate([np.arange(CANONICAL_POINTS), *mesh.irises]))


def landmark_embedding(mesh: HeadMesh) -> LandmarkEmbedding:
    """The 68 points. Those of the dynamic contour are the face's outline, at their height, as the head turns."""
    return LandmarkEmbedding(
        static=_on_vertices(mesh, np.array(INNER_68)),
        dynamic=_contours(mesh),
        full=_on_vertices(mesh, np.array(CONTOUR_68 + INNER_68)),
    )


def _on_vertices(mesh: HeadMesh, vertices: Indices) -> Correspondence:
    """A point at a vertex lies on the first face that has it."""
    _, first = np.unique(mesh.faces, return_index=True)  # all vertices are used, so that row v is vertex v
    faces, corners = np.divmod(first[vertices], 3)
    return Correspondence(faces=faces, bary=np.eye(3, dtype=np.float32)[corners])


def _contours(mesh: HeadMesh) -> Correspondence:
    """(79, 17) points: of those at the same height, from the rim of the face inwards, the outermost in the image."""
    rim = mesh.points[list(CONTOUR_68)]
    places = np.stack([(1 - _SLIDES)[:, None] * rim[:, 0], np.broadcast_to(rim[:, 1], (len(_SLIDES), 17))], axis=2)
    faces, bary = _seen_from_front(mesh, places.reshape(-1, 2))
    x, _, z = (mesh.points[mesh.faces[faces]] * bary[..., None]).sum(axis=1).reshape(*places.shape[:2], 3).T
    turns = np.radians([*range(_LAST_TURN + 1), *range(-1, -_LAST_TURN - 1, -1)])[:, None, None]
    side = np.sign(np.arange(17) - _CHIN)[:, None]
    slide = ((x * np.cos(turns) + z * np.sin(turns)) * side).argmax(axis=2)  # the chin stays, as all are 0
    chosen = slide * 17 + np.arange(17)
    return Correspondence(faces=faces[chosen], bary=bary[chosen].astype(np.float32))


def _seen_from_front(mesh: HeadMesh, places: Array) -> tuple[Indices, Array]:
    """The face's triangles under places (N, 2), or nearest to them, and coordinates within: (N,) and (N, 3)."""
    a, b, c = (mesh.points[mesh.skin_faces[: mesh.face_count], :2]).transpose(1, 0, 2)
    area = _cross(b - a, c - a)
    at = places[:, None]
    bary = np.stack([_cross(b - at, c - at), _cross(c - at, a - at), _cross(a - at, b - at)], axis=2) / area[:, None]
    face = bary.min(axis=2).argmax(axis=1)
    inside = np.clip(bary[np.arange(len(places)), face], 0, None)
    return face, inside / inside.sum(axis=1, keepdims=True)


def _cross(a: Array, b: Array) -> Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]

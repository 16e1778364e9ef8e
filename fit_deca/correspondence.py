"""Where MediaPipe's 478 points lie on a face model that only knows the 68: found from the geometry of two heads.

The known head has both sets. It is laid onto the other by the 68 they share: a similarity, then a thin-plate spline.
Then its 468 points of the skin move to the surface below them, as far as a spline that bends reluctantly lets them, a
few times over. The points of the irises follow the eyeballs, as spheres.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.errors import FaceModelError
from fit_deca.model_file import Correspondence, FaceModel
from fit_deca.normals import vertex_normals
from fit_deca.surface import Points, Surface

VERSION = 1
"""Counted up when other points come out; part of the name under which they are kept."""

_SKIN, _IRISES = slice(468), {3: slice(473, 478), 4: slice(468, 473)}
"""MediaPipe's points, those of each iris by the joint that turns its eye."""
_CONTOUR = 17
_STIFF_CONTOUR, _STIFF_INSIDE, _STIFF_SKIN = 1e-2, 1e-4, 1e-3
"""How far the spline may pass by the points of the contour, those inside it, and the surface, rather than bend."""
_ROUNDS = 4


def mediapipe_correspondence(model: FaceModel, known: FaceModel) -> Correspondence:
    """The 478 points on `model`, which has the 68; `known` has both sets.

    Raises FaceModelError where one of them lacks what it should have.
    """
    from scipy.interpolate import RBFInterpolator  # a tenth of what a worker imports; needed once a face model

    if model.landmarks is None or known.landmarks is None or known.mediapipe is None:
        raise FaceModelError(f"the 478 points on {model.name!r} take the 68 on it, and both on {known.name!r}")
    target, source = on_mesh(model, model.landmarks.full), on_mesh(known, known.landmarks.full)
    width = float(np.ptp(target, axis=0).max())
    target, vertices = target / width, model.v_template.astype(np.float64) / width
    scale, turn, shift = similarity(source[_CONTOUR:], target[_CONTOUR:])

    def laid(points: Points) -> Points:
        return scale * points @ turn.T + shift

    source, points, known_vertices = (
        laid(source),
        laid(on_mesh(known, known.mediapipe)),
        laid(known.v_template.astype(np.float64)),
    )
    normals = _normals_at(known_vertices, known, known.mediapipe)
    skin = Surface(vertices, model.faces, _without_eyes(model))
    stiff = np.full(len(source), _STIFF_INSIDE)
    stiff[:_CONTOUR] = _STIFF_CONTOUR
    placed = RBFInterpolator(source, target, smoothing=stiff)(points[_SKIN])
    stiff = np.concatenate([stiff, np.full(len(placed), _STIFF_SKIN)])
    anchors = np.concatenate([source, points[_SKIN]])
    anchors += 1e-9 * np.arange(len(anchors))[:, None]  # some of the 68 are among the 468; a spline wants no two alike
    for _ in range(_ROUNDS):
        below = on_surface(vertices, model, *skin.nearest(placed, normals[_SKIN]))
        placed = RBFInterpolator(anchors, np.concatenate([target, below]), smoothing=stiff)(points[_SKIN])
    faces, bary = skin.nearest(placed, normals[_SKIN])
    faces, bary = np.append(faces, np.zeros(10, np.int64)), np.append(bary, np.zeros((10, 3)), axis=0)
    for joint, iris in _IRISES.items():
        faces[iris], bary[iris] = _on_eyeball(vertices, model, known_vertices, known, points[iris], joint)
    return Correspondence(faces=faces, bary=bary.astype(np.float32))


def on_mesh(model: FaceModel, points: Correspondence) -> Points:
    """The points (N, 3) on the model at rest."""
    return on_surface(model.v_template.astype(np.float64), model, points.faces, points.bary)


def on_surface(vertices: Points, model: FaceModel, faces: NDArray[np.int64], bary: NDArray[np.floating]) -> Points:
    """(N, 3) from faces (N,) and weights of their corners (N, 3)."""
    return (vertices[model.faces[faces]] * bary[..., None]).sum(1)


def similarity(source: Points, target: Points) -> tuple[float, Points, Points]:
    """Scale, rotation (3, 3) and shift (3,) that take (N, 3) points to (N, 3) points with least squares.

    Source: Umeyama, Least-squares estimation of transformation parameters between two point patterns (1991).
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    u, stretch, vt = np.linalg.svd((target - target_mean).T @ (source - source_mean) / len(source))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = (u * sign) @ vt
    scale = float(stretch @ sign / source.var(0).sum())
    return scale, turn, target_mean - scale * turn @ source_mean


def _normals_at(vertices: Points, model: FaceModel, points: Correspondence) -> Points:
    normals = vertex_normals(torch.from_numpy(vertices)[None], torch.from_numpy(model.faces))[0].numpy()
    return on_surface(normals, model, points.faces, points.bary)


def _eyeball(model: FaceModel, joint: int) -> NDArray[np.int64]:
    """The faces that an eye's joint turns."""
    return np.flatnonzero((model.weights[:, joint] > 0.5)[model.faces].all(1))


def _without_eyes(model: FaceModel) -> NDArray[np.int64]:
    eyes = np.concatenate([_eyeball(model, joint) for joint in _IRISES])
    return np.setdiff1d(np.arange(len(model.faces)), eyes)


def _on_eyeball(
    vertices: Points, model: FaceModel, known_vertices: Points, known: FaceModel, points: Points, joint: int
) -> tuple[NDArray[np.int64], Points]:
    """Points of an iris on the other head's eyeball, seen in the same direction from its middle."""
    ball, known_ball = _eyeball(model, joint), _eyeball(known, joint)
    if not len(ball) or not len(known_ball):
        raise FaceModelError(f"{model.name!r}: no eyeball turns with its eyes' joints, so that it has no irises")
    middle, radius = _sphere(vertices[np.unique(model.faces[ball])])
    known_middle, known_radius = _sphere(known_vertices[np.unique(known.faces[known_ball])])
    return Surface(vertices, model.faces, ball).nearest(middle + (points - known_middle) * radius / known_radius)


def _sphere(points: Points) -> tuple[Points, float]:
    """Middle and radius of the sphere through points, with least squares."""
    answer = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(1), rcond=None)[0]
    return answer[:3], float(np.sqrt(answer[3] + answer[:3] @ answer[:3]))

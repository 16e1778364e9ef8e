"""Joints of the generic head and which vertices they carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fit_deca.build_head.canonical_face import MOUTH
from fit_deca.build_head.laplacian import Array, Indices, diffuse, smoothstep
from fit_deca.model_file import PARENTS

if TYPE_CHECKING:
    from fit_deca.build_head.mesh import HeadMesh

_ROOT, _NECK, _JAW = np.array([0, -0.14, -0.050]), np.array([0, -0.07, -0.045]), np.array([0, -0.005, -0.012])
_JAW_SOFTNESS = 0.014
_THROAT_SLOPE = 0.2
_ROOT_TOP, _ROOT_DEPTH = -0.10, 0.055
_AROUND = 0.01


def jaw_share(points: Array, faces: Indices) -> Array:
    """How far skin (V, 3) goes along with the jaw, (V,) in 0..1; it is open between the lips."""
    below, before = points[:, 1] - _JAW[1], points[:, 2] - _JAW[2]
    _, corner_below, corner_before = points[MOUTH[0]] - _JAW
    mouth_line = corner_below * np.minimum(before / corner_before, 1)
    lower = (below < mouth_line) & (before > -_THROAT_SLOPE * below)
    return smoothstep(diffuse(lower.astype(float), _JAW_SOFTNESS, points, faces))


def skinning_weights(mesh: HeadMesh) -> Array:
    """(V, 5); rows sum to 1. The eyeballs belong to their joints, all else to root, neck and jaw."""
    jaw = mesh.follow @ jaw_share(mesh.points[mesh.skin], np.searchsorted(mesh.skin, mesh.skin_faces))
    root = smoothstep((_ROOT_TOP - mesh.points[:, 1]) / _ROOT_DEPTH)
    weights = np.stack([root * (1 - jaw), (1 - root) * (1 - jaw), jaw, 0 * jaw, 0 * jaw], axis=1)
    for joint, eyeball in zip((4, 3), mesh.eyeballs, strict=True):
        weights[eyeball] = np.eye(len(PARENTS))[joint]
    return weights


def joint_regressor(mesh: HeadMesh) -> Array:
    """(5, V): for each joint the smallest weights, summing to 1, that make it of vertices around it."""
    x, y, z = mesh.points.T
    skin = np.isin(np.arange(len(x)), mesh.skin)
    right, left = mesh.eyeballs
    surroundings = [
        (_ROOT, np.flatnonzero(skin & (np.abs(y - _ROOT[1]) < _AROUND))),
        (_NECK, np.flatnonzero(skin & (np.abs(y - _NECK[1]) < _AROUND))),
        (_JAW, np.flatnonzero(skin & (np.hypot(y - _JAW[1], z - _JAW[2]) < 2 * _AROUND) & (np.abs(x) > 0.05))),
        *((mesh.points[[eyeball[0], eyeball[-1]]].mean(axis=0), eyeball) for eyeball in (left, right)),
    ]
    regressor = np.zeros((len(PARENTS), len(x)))
    for row, (joint, around) in zip(regressor, surroundings, strict=True):
        row[around] = np.linalg.pinv(np.vstack([mesh.points[around].T, np.ones(len(around))])) @ [*joint, 1]
    return regressor

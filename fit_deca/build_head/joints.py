"""Joints of the generic head, in FLAME's order (root, neck, jaw, left eye, right eye), and the vertices they carry."""

from __future__ import annotations

import numpy as np

from fit_deca.build_head.jaw import JAW, jaw_share
from fit_deca.build_head.laplacian import Array, smoothstep
from fit_deca.build_head.mesh import HeadMesh
from fit_deca.model_file import PARENTS

_ROOT, _NECK = np.array([0, -0.14, -0.050]), np.array([0, -0.07, -0.045])
_ROOT_TOP, _ROOT_DEPTH = -0.10, 0.055  # down the neck, the root takes over
_AROUND = 0.01  # joints are regressed from skin that is no farther off
_BESIDE = 0.05  # the jaw's from both sides of the head


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
        (JAW, np.flatnonzero(skin & (np.hypot(y - JAW[1], z - JAW[2]) < 2 * _AROUND) & (np.abs(x) > _BESIDE))),
        *((mesh.points[[eyeball[0], eyeball[-1]]].mean(axis=0), eyeball) for eyeball in (left, right)),
    ]
    regressor = np.zeros((len(PARENTS), len(x)))
    for row, (joint, around) in zip(regressor, surroundings, strict=True):
        row[around] = np.linalg.pinv(np.vstack([mesh.points[around].T, np.ones(len(around))])) @ [*joint, 1]
    return regressor

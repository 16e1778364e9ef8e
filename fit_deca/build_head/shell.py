"""What closes the canonical face: skull and neck as rings of vertices around its rim, ears, eyeballs.

Metres, x to the person's left, y up, the face looks along +z.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from fit_deca.build_head.canonical_face import OVAL
from fit_deca.build_head.laplacian import Array, Indices, smoothstep

EYE_RADIUS = 0.0140
"""Of an eyeball; a little more than in nature, to fill the canonical face's wide lids."""

IRIS_RADIUS = 0.0059

IRIS = np.array([0, 1, 5, 9, 13])
"""Vertices of an eyeball: the middle of the iris and, each a quarter turn further, four of its rim."""

_RINGS = np.array([0.03, 0.07, 0.12, 0.18, 0.25, 0.33, 0.42, 0.51, 0.60, 0.70, 0.80, 0.90, 1.0])
"""Where rings lie on the way from the rim of the face (0) to the end of the neck (1)."""

_CENTRE = np.array([0.0, 0.0, -0.030])
"""From here a ray meets the surface once in each direction."""

_SKULL, _SKULL_RADII = np.array([0.0, 0.040, -0.042]), np.array([0.0775, 0.089, 0.096])
_NECK_END, _NECK_RADII = np.array([0.0, -0.155, -0.055]), np.array([0.054, 0.056])
_NECK_LEAN, _NECK_LENGTH = 0.12, 0.13  # forward for each metre up; metres
_ROUNDING = 0.008
_BLEND = 0.05  # metres from the rim to where skull and neck have their own shape
_MORE_BEHIND = 0.4  # paths end closer together at the nape, so that more of them cross the back of the head

_EAR, _EAR_HALF = np.array([0.008, -0.040]), np.array([0.032, 0.017])  # y and z of its middle; half its size
_EAR_TILT, _EAR_LEAN = 0.2, 0.6  # its top leans back (radians); it stands off backwards
_EAR_EDGE, _EAR_SLOPE = 1.15, 0.45  # in halves of its size
_EAR_FRONT, _EAR_BACK, _EAR_BOWL = 0.002, 0.014, 0.007  # heights
_MIDDLE = 0.04  # half the width of the strip that has no ears

_MERIDIANS = 16
_EYE_RINGS = np.radians([50, 75, 105, 140])


def skull_and_neck(face: Array) -> Array:
    """Rings (13, 36, 3) of vertices from the rim of the face, `OVAL`, over the skull to the end of the neck.

    A path leads from each vertex of the rim to the neck's end, straight in a map of directions seen from inside the
    head; the rings cut all paths in proportion to their lengths.
    """
    rim = face[list(OVAL)]
    angle = np.linspace(0, 2 * np.pi, len(OVAL), endpoint=False)
    angle -= _MORE_BEHIND * np.sin(angle)
    neck = _NECK_END + np.stack([np.sin(angle), 0 * angle, -np.cos(angle)], axis=1) * np.insert(_NECK_RADII, 1, 0)
    start, end = _to_plane(rim - _CENTRE), _to_plane(neck - _CENTRE)
    steps = np.linspace(0, 1, 400)[:, None, None]
    paths = _surface(_from_plane(start + steps * (end - start)))  # (400, 36, 3)
    away = np.linalg.norm(paths - paths[0], axis=2, keepdims=True)
    paths += (rim - paths[0]) * smoothstep(1 - away / _BLEND)
    lengths = np.linalg.norm(np.diff(paths, axis=0, prepend=paths[:1]), axis=2).cumsum(axis=0)
    rings = [
        [np.interp(_RINGS, length / length[-1], coordinate) for coordinate in path.T]
        for length, path in zip(lengths.T, paths.transpose(1, 0, 2), strict=True)
    ]
    return np.array(rings).transpose(2, 0, 1)


def with_ears(points: Array) -> Array:
    """Skin (S, 3) drawn out into an ear on either side: a bowl whose back edge stands off the head."""
    x, y, z = points.T
    turn = np.array([[np.cos(_EAR_TILT), -np.sin(_EAR_TILT)], [np.sin(_EAR_TILT), np.cos(_EAR_TILT)]])
    up, forward = ((np.stack([y, z], axis=1) - _EAR) @ turn.T / _EAR_HALF).T
    from_middle = np.hypot(up, forward)
    height = smoothstep((_EAR_EDGE - from_middle) / _EAR_SLOPE) * (_EAR_FRONT + _EAR_BACK * (1 - forward) / 2)
    height -= _EAR_BOWL * smoothstep(1 - np.hypot(up, forward - 0.1) / 0.75)
    height[np.abs(x) < _MIDDLE] = 0
    return points + height[:, None] * np.stack([np.sign(x), 0 * x, 0 * x - _EAR_LEAN], axis=1)


def eyeball(lids: Array) -> tuple[Array, Indices]:
    """A sphere behind lids (N, 3), looking along +z: vertices and faces."""
    angle = np.linspace(0, 2 * np.pi, _MERIDIANS, endpoint=False)
    polar = np.insert(_EYE_RINGS, 0, np.arcsin(IRIS_RADIUS / EYE_RADIUS))[:, None]
    rings = np.stack([np.sin(polar) * np.cos(angle), np.sin(polar) * np.sin(angle), np.cos(polar) + 0 * angle], axis=2)
    sphere = np.concatenate([[[0, 0, 1]], rings.reshape(-1, 3), [[0, 0, -1]]])
    loops = 1 + np.arange(rings[..., 0].size).reshape(len(rings), -1)
    last = np.full(_MERIDIANS, len(sphere) - 1)
    front = np.stack([0 * last, loops[0], np.roll(loops[0], -1)], axis=1)
    back = np.stack([last, np.roll(loops[-1], -1), loops[-1]], axis=1)
    walls = [strip(far, near, sphere) for near, far in pairwise(loops)]
    centre = lids.mean(axis=0) - [0, 0, EYE_RADIUS]
    return centre + EYE_RADIUS * sphere, np.concatenate([front, *walls, back])


def strip(near: Indices, far: Indices, points: Array) -> Indices:
    """Triangles (2N, 3) between two closed loops of N vertices; diagonals on one side of x = 0 mirror the other's."""
    a, b, c, d = near, np.roll(near, -1), np.roll(far, -1), far
    right = (points[a, 0] + points[b, 0] < 0)[:, None]
    first = np.where(right, np.stack([a, b, c], axis=1), np.stack([a, b, d], axis=1))
    second = np.where(right, np.stack([a, c, d], axis=1), np.stack([b, c, d], axis=1))
    return np.concatenate([first, second])


def _to_plane(directions: Array) -> Array:
    """Stereographic projection from the direction of the face, (..., 3) -> (..., 2)."""
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    return unit[..., :2] / (1 - unit[..., 2:])


def _from_plane(points: Array) -> Array:
    """The inverse of `_to_plane`, to unit directions."""
    square = (points**2).sum(axis=-1, keepdims=True)
    return np.concatenate([2 * points, square - 1], axis=-1) / (square + 1)


def _surface(directions: Array) -> Array:
    """Where rays from `_CENTRE` leave skull and neck, (..., 3)."""
    inside, outside = np.zeros(directions.shape[:-1]), np.full(directions.shape[:-1], 0.3)
    for _ in range(40):
        middle = (inside + outside) / 2
        within = _outside_by(_CENTRE + middle[..., None] * directions) < 0
        inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
    return _CENTRE + outside[..., None] * directions


def _outside_by(points: Array) -> Array:
    """About how far points lie outside the rounded union of an ellipsoid, the skull, and a cylinder, the neck."""
    skull = (np.linalg.norm((points - _SKULL) / _SKULL_RADII, axis=-1) - 1) * _SKULL_RADII.min()
    x, y, z = np.moveaxis(points - _NECK_END, -1, 0)
    neck = (np.hypot(x / _NECK_RADII[0], (z - _NECK_LEAN * y) / _NECK_RADII[1]) - 1) * _NECK_RADII.min()
    neck = np.maximum(neck, y - _NECK_LENGTH)
    return -_ROUNDING * np.logaddexp(-skull / _ROUNDING, -neck / _ROUNDING)

"""The generic head's surface at rest, put together from a face, a shell and eyes.

A coarse cage is refined once, each triangle into four, and laid on a smooth surface through the face's vertices.
Everything is in metres, x to the person's left, y up, looking along +z; the mesh is its own mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from fit_deca.build_head.canonical_face import EYE_FOLDS, LEFT_EYE, MOUTH, OVAL, RIGHT_EYE
from fit_deca.build_head.jaw import jaw_share
from fit_deca.build_head.laplacian import Array, Indices, diffuse, fair, smoothstep
from fit_deca.build_head.shell import IRIS, eyeball, skull_and_neck, strip, with_ears

_OPENINGS = (RIGHT_EYE, LEFT_EYE, MOUTH)
_POCKET_HEIGHTS = (0.005, 0.005, 0.012)  # that lids and lips, at rest close together, do not make thin triangles behind
_POCKET_DEPTH = 0.02

_RAISED_JAW = np.array([0.0, 0.0046, -0.0020])
_RAISED_FOLD = np.array([0.002, 0.0045, 0.0])  # outwards, up, forward
_FOLD_REACH, _LIFTED_LID = 0.005, 0.3

_FACE_HOLDS, _SHELL_HOLDS = 0.0008, 0.010  # scales of `fair`
_NEAR_RIM, _OFF_RIM = 0.02, (0.01, 0.06)
_MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False, kw_only=True)
class HeadMesh:
    """The generic head at rest: V vertices, of which S are skin (face, ears, skull and neck).

    points: (V, 3), the first 468 are the canonical face's. faces: (F, 3), counter-clockwise seen from outside.
    mirror: (V,) the vertex on the other side.
    skin: (S,) ascending. skin_faces: (G, 3) faces between them, the first of `faces`; open at neck, lids and lips.
    face_count: how many of these, the first, belong to the canonical face.
    covers: (C, 3) faces of skin vertices over lids and lips; no part of the mesh.
    follow: (V, S) what mean of the skin's displacements each vertex takes over: the skin its own, an eyeball that of
    its lids, the pockets behind lids and lips that of their edges.
    eyeballs: vertices of the right eye and of the left. irises: (2, 5) theirs: middle, then four of the rim.
    """

    points: Array
    faces: Indices
    mirror: Indices
    skin: Indices
    skin_faces: Indices
    face_count: int
    covers: Indices
    follow: sparse.csr_array
    eyeballs: tuple[Indices, Indices]
    irises: Indices


def build_mesh(face: Array, triangles: Indices) -> HeadMesh:
    """The head around a canonical face (`read_canonical_face`)."""
    covered = np.any([np.isin(triangles, edge).all(axis=1) for edge in _OPENINGS], axis=0)
    face = _at_rest(face, triangles[~covered])
    rings = skull_and_neck(face)
    cage = np.concatenate([face, rings.reshape(-1, 3)])
    loops = [np.array(OVAL), *np.arange(len(face), len(cage)).reshape(len(rings), -1)]
    walls = [strip(near, far, cage) for near, far in pairwise(loops)]
    skin_cage = np.concatenate([triangles[~covered], *walls])
    owner, push, pocket_cage = _pockets(cage, triangles)

    faces, means = _refine(np.concatenate([skin_cage, pocket_cage]), len(owner))
    skin_faces = faces[: 4 * len(skin_cage)]
    skin = np.unique(skin_faces)
    skin_points = means[skin] @ cage[owner]
    scale = _scales(skin_points, len(face), len(cage))
    skin_points = with_ears(fair(skin_points, np.searchsorted(skin, skin_faces), scale))

    follow = (means @ _selection(owner, len(skin))).tolil()  # the cage's skin comes first in `skin`
    follow[skin] = sparse.eye_array(len(skin)).tolil()
    points = follow @ skin_points + means @ push
    eyeballs = []
    for edge in (RIGHT_EYE, LEFT_EYE):
        eye_points, eye_faces = eyeball(face[list(edge)])
        eyeballs.append(np.arange(len(eye_points)) + len(points))
        faces = np.concatenate([faces, eye_faces + len(points)])
        points = np.concatenate([points, eye_points])
        lids = _selection(np.array(edge), len(skin)).mean(axis=0)
        follow = sparse.vstack([follow, sparse.csr_array(np.tile(lids, (len(eye_points), 1)))])
    mirror = cKDTree(points).query(points * _MIRROR)[1]
    return HeadMesh(
        points=(points + points[mirror] * _MIRROR) / 2,
        faces=faces,
        mirror=mirror,
        skin=skin,
        skin_faces=skin_faces,
        face_count=4 * int((~covered).sum()),
        covers=triangles[covered],
        follow=follow.tocsr(),
        eyeballs=(eyeballs[0], eyeballs[1]),
        irises=np.stack([eye[IRIS] for eye in eyeballs]),
    )


def _at_rest(face: Array, triangles: Indices) -> Array:
    """The canonical face with its lips closed and the folds of its upper lids, which lie on the lids' edge, raised."""
    face = face + jaw_share(face, triangles)[:, None] * _RAISED_JAW
    for fold, edge, outwards in zip(EYE_FOLDS, (RIGHT_EYE, LEFT_EYE), (-1, 1), strict=True):
        share = diffuse(np.isin(np.arange(len(face)), fold).astype(float), _FOLD_REACH, face, triangles)
        share[list(edge)] *= _LIFTED_LID
        face = face + (share / share.max())[:, None] * _RAISED_FOLD * [outwards, 1, 1]
    return face


def _pockets(cage: Array, triangles: Indices) -> tuple[Indices, Array, Indices]:
    """Sockets and mouth cavity: the canonical face's cover of each opening pushed back, and walls to its edge.

    Returns for all vertices of the cage, those of the pockets last, whose copy they are and how far they are pushed
    from there; and the pockets' triangles.
    """
    owner, push, faces = [np.arange(len(cage))], [np.zeros_like(cage)], []
    for edge, height in zip(_OPENINGS, _POCKET_HEIGHTS, strict=True):
        ground = np.arange(len(edge)) + sum(map(len, owner))
        copy_of = dict(zip(edge, ground, strict=True))
        cover = triangles[np.isin(triangles, edge).all(axis=1)]
        faces += [strip(np.array(edge), ground, cage), np.vectorize(copy_of.__getitem__)(cover)]
        x = cage[list(edge), 0]
        start = np.pi if x[0] < x.mean() else 0.0
        up = height * np.sin(start + np.linspace(0, 2 * np.pi, len(edge), endpoint=False))
        push.append(np.stack([0 * up, up, 0 * up - _POCKET_DEPTH], axis=1))
        owner.append(np.array(edge))
    return np.concatenate(owner), np.concatenate(push), np.concatenate(faces)


def _refine(faces: Indices, count: int) -> tuple[Indices, sparse.csr_array]:
    """Split each triangle into four. Returns (4F, 3) and what means (W, count) of old vertices the new ones are.

    The old vertices keep their numbers; the four follow one another.
    """
    sides = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2), axis=2)  # (F, 3, 2)
    edges, which = np.unique(sides.reshape(-1, 2), axis=0, return_inverse=True)
    a, b, c = faces.T
    ab, bc, ca = count + which.reshape(-1, 3).T
    children = np.stack([[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]])  # (4, 3, F)
    middles = (_selection(edges[:, 0], count) + _selection(edges[:, 1], count)) / 2
    return children.transpose(2, 0, 1).reshape(-1, 3), sparse.vstack([sparse.eye_array(count), middles]).tocsr()


def _scales(points: Array, face_count: int, cage_count: int) -> Array:
    """How firmly `fair` holds the skin's points, of which the cage's come first.

    It holds the face, less so near its rim; the shell, from a way off the rim on; and the end of the neck. The points
    between the cage's are free.
    """
    face, shell = points[:face_count], points[face_count:cage_count]
    inside = smoothstep(cKDTree(face[list(OVAL)]).query(face)[0] / _NEAR_RIM)
    near, far = _OFF_RIM
    outside = smoothstep((cKDTree(face).query(shell)[0] - near) / (far - near))
    scale = np.full(len(points), np.inf)
    scale[:face_count] = _FACE_HOLDS * (1e-3 + inside) ** -0.25
    with np.errstate(divide="ignore"):
        scale[face_count:cage_count] = _SHELL_HOLDS * outside**-0.25
    scale[cage_count - len(OVAL) : cage_count] = _FACE_HOLDS
    return scale


def _selection(chosen: Indices, count: int) -> sparse.csr_array:
    """The matrix (N, count) that takes the chosen of `count` rows."""
    return sparse.csr_array((np.ones(len(chosen)), (np.arange(len(chosen)), chosen)), shape=(len(chosen), count))

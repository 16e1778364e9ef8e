"""A FLAME of twelve vertices, small enough to work its results out by hand.

Axes are FLAME's: x to the head's left, y up, z to the front. Each joint sits on a vertex of its own (rows 0 to 4), so
that the numbers below are places and nothing else. One joint moves each vertex, but for the throat, halfway between
neck and jaw. The bases are zero but for three entries.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fit_deca.model_file import FaceModel, face_model_from_arrays

ROOT, NECK, JAW, LEFT_EYE, RIGHT_EYE = range(5)
CHIN, LEFT_PUPIL, RIGHT_PUPIL, CROWN, THROAT, LEFT_CHEEK, RIGHT_CHEEK = range(5, 12)

PLACES = {
    ROOT: (0, 1, 0),
    NECK: (0, 2, 0),
    JAW: (0, 3, 0),
    LEFT_EYE: (1, 4, 0),
    RIGHT_EYE: (-1, 4, 0),
    CHIN: (0, 3, 1),
    LEFT_PUPIL: (1, 4, 1),
    RIGHT_PUPIL: (-1, 4, 1),
    CROWN: (0, 5, 0),
    THROAT: (0, 2, 1),
    LEFT_CHEEK: (1, 3, 1),
    RIGHT_CHEEK: (-1, 3, 1),
}
MOVED_BY = {JAW: JAW, CHIN: JAW, LEFT_EYE: LEFT_EYE, LEFT_PUPIL: LEFT_EYE, RIGHT_EYE: RIGHT_EYE, RIGHT_PUPIL: RIGHT_EYE}
FACES = [(CROWN, RIGHT_CHEEK, LEFT_CHEEK), (CHIN, LEFT_CHEEK, RIGHT_CHEEK), (CHIN, THROAT, LEFT_CHEEK)]

LIFTED_BY_SHAPE = 7
"""This component of the shape code lifts the jaw's joint and the chin by 1."""
LIFTED_BY_EXPRESSION = 3
"""This component of the expression code lifts the left cheek by 1."""
JAW_CORRECTIVE = 9 + 7
"""Entry (2, 1) of the jaw's R - 1, the sine of its opening, pushes the right cheek out by 1 along x."""


def toy_arrays(components: int = 150) -> dict[str, NDArray[Any]]:
    """The model by FLAME's names, with our 150 or the published 400 components."""
    vertices = len(PLACES)
    shapedirs, posedirs = np.zeros((vertices, 3, components)), np.zeros((vertices, 3, 36))
    shapedirs[[JAW, CHIN], 1, LIFTED_BY_SHAPE] = 1
    shapedirs[LEFT_CHEEK, 1, (300 if components == 400 else 100) + LIFTED_BY_EXPRESSION] = 1
    posedirs[RIGHT_CHEEK, 0, JAW_CORRECTIVE] = -1
    weights = np.eye(5)[[MOVED_BY.get(vertex, NECK) for vertex in PLACES]]
    weights[ROOT] = np.eye(5)[ROOT]
    weights[THROAT] = (0, 0.5, 0.5, 0, 0)
    return {
        "v_template": np.array(list(PLACES.values()), np.float64),
        "f": np.array(FACES, np.uint32),
        "shapedirs": shapedirs,
        "posedirs": posedirs,
        "J_regressor": np.eye(5, vertices),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "weights": weights,
    }


def toy_landmarks() -> dict[str, NDArray[Any]]:
    """Landmarks by their published names: all in the middle of a face.

    static: face 0. full: face 1. dynamic: row r in the corner r % 3 of face 2. mediapipe: face 0.
    """
    middle = np.full(3, 1 / 3)
    corners = np.eye(3)[np.arange(79) % 3]
    return {
        "static_lmk_faces_idx": np.zeros(51, np.int64),
        "static_lmk_bary_coords": np.tile(middle, (51, 1)),
        "full_lmk_faces_idx": np.ones((1, 68), np.int64),
        "full_lmk_bary_coords": np.tile(middle, (1, 68, 1)),
        "dynamic_lmk_faces_idx": np.full((79, 17), 2),
        "dynamic_lmk_bary_coords": np.repeat(corners[:, None], 17, axis=1),
        "mediapipe_faces_idx": np.zeros(478, np.int64),
        "mediapipe_bary_coords": np.tile(middle, (478, 1)),
    }


def toy_model() -> FaceModel:
    return face_model_from_arrays(toy_arrays() | toy_landmarks(), "toy")


def write_pickle(path: Path, content: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path

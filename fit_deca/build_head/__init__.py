"""The making of the generic head, `fit_deca/data/generic_head.npz`: python -m fit_deca.build_head TASK_FILE OUT.npz

The face is MediaPipe's canonical one (`canonical_face`). `shell` closes it and `mesh` puts it together, `joints` and
`jaw` move it, `components` vary it, `landmarks` names points on it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fit_deca.build_head.canonical_face import read_canonical_face
from fit_deca.build_head.components import expression_components, shape_components
from fit_deca.build_head.joints import joint_regressor, skinning_weights
from fit_deca.build_head.landmarks import landmark_embedding, mediapipe_points
from fit_deca.build_head.mesh import build_mesh
from fit_deca.model_file import PARENTS, FaceModel

_GRAIN = 2.0**-16
"""Metres; components are rounded to this, far below what shows, so that the file is small."""


def build_head(task_file: str | Path) -> FaceModel:
    """The generic head around the canonical face in a `face_landmarker.task`.

    Eigensolvers differ from machine to machine in the last digits, and so may its components.
    Raises FaceModelError if the file holds no such face.
    """
    mesh = build_mesh(*read_canonical_face(task_file))
    components = np.concatenate([shape_components(mesh), expression_components(mesh)], axis=2)
    return FaceModel(
        name="generic-head",
        v_template=mesh.points.astype(np.float32),
        faces=mesh.faces,
        shapedirs=(np.round(components / _GRAIN) * _GRAIN).astype(np.float32),
        posedirs=np.zeros((9 * (len(PARENTS) - 1), mesh.points.size), np.float32),
        J_regressor=joint_regressor(mesh).astype(np.float32),
        parents=np.array(PARENTS),
        weights=skinning_weights(mesh).astype(np.float32),
        landmarks=landmark_embedding(mesh),
        mediapipe=mediapipe_points(mesh),
    )

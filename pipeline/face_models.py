"""The face model that is fitted, with the landmarks that its own file may lack."""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from fit_deca import correspondence
from fit_deca.head import GENERIC_HEAD_FILE, load_generic_head
from fit_deca.model_file import Correspondence, FaceModel, load_face_model, load_landmark_embedding
from pipeline.assets import assets_folder
from pipeline.atomic import atomic_path
from pipeline.checksums import digest_of
from pipeline.errors import PipelineError
from pipeline.node_cache import local_copy

logger = logging.getLogger(__name__)

FOLDER = "correspondences"
"""In our folder of assets: where MediaPipe's points lie on licensed face models, which is worked out here."""


def open_face_model(path: Path | None = None, landmark_embedding: Path | None = None) -> FaceModel:
    """A face model with all the landmarks that can be had.

    path: FLAME's file, or an .npz; None is the generic head. landmark_embedding: the file with the 68 points, for a
    model without. MediaPipe's 478 are found by the 68 where a model has none, once, and kept in our folder.
    Raises FaceModelError for files that cannot be used.
    """
    if path is None:
        return load_generic_head()
    model = load_face_model(local_copy(path))
    if model.landmarks is None and landmark_embedding is not None:
        model = replace(model, landmarks=load_landmark_embedding(local_copy(landmark_embedding)))
    if model.mediapipe is None and model.landmarks is not None:
        model = replace(model, mediapipe=_mediapipe_points(model))
    return model


def _mediapipe_points(model: FaceModel) -> Correspondence:
    """The points as they are kept, else found and kept; they are as good where they cannot be kept."""
    path = assets_folder() / FOLDER / f"{_key(model)}.npz"
    if path.is_file() and (kept := _read(path, len(model.faces))):
        return kept
    points = correspondence.mediapipe_correspondence(model, load_generic_head())
    try:
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez(file, faces=points.faces, bary=points.bary)
    except PipelineError as error:
        logger.warning("MediaPipe's points on %s are found anew each time: %s", model.name, error)
    return points


def _key(model: FaceModel) -> str:
    """What the points follow from: the model, its 68 points, the generic head and the way they are found."""
    assert model.landmarks is not None
    digest = hashlib.sha256(f"{correspondence.VERSION} {model.hash} {digest_of(GENERIC_HEAD_FILE)}".encode())
    for array in (model.landmarks.full.faces, model.landmarks.full.bary):
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: Path, faces: int) -> Correspondence | None:
    """What was kept; None where the file is damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            points = Correspondence(faces=arrays["faces"], bary=arrays["bary"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        logger.warning("%s: found anew, since what was kept cannot be read (%s)", path, error)
        return None
    fits = points.faces.shape == (478,) and points.bary.shape == (478, 3)
    return points if fits and points.faces.min() >= 0 and points.faces.max() < faces else None

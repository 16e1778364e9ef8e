"""The generic head: the face model that comes with this package, free of any licence but Apache-2.0."""

from __future__ import annotations

from pathlib import Path

from fit_deca.model_file import FaceModel, load_face_model

GENERIC_HEAD_FILE = Path(__file__).parent / "data" / "generic_head.npz"


def load_generic_head() -> FaceModel:
    """A head in FLAME's format, with the 68 landmarks and MediaPipe's 478 (`fit_deca.build_head` makes the file)."""
    return load_face_model(GENERIC_HEAD_FILE)

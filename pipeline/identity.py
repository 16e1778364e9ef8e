"""Who a face is: a vector that is much the same for one person and another for others."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.perceptual_files import wheel_file

FILE = ("face-recognition-models", "face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat")
"""Package, which is not imported, and the file in it: dlib's published network, in the public domain."""
_EXTRA = "pip install 'gdpw-pipe[identity]'"


class Identity:
    """dlib's ResNet: a face of a picture -> a unit vector of 128 numbers.

    Source: King, High quality face recognition with deep metric learning (2017), blog.dlib.net.
    """

    def __init__(self) -> None:
        """Raises PipelineError where dlib or its file is not installed."""
        path = identity_file()
        import dlib

        self._dlib, self._network = dlib, dlib.face_recognition_model_v1(str(path))

    def __call__(self, image: NDArray[np.uint8], points: NDArray[np.floating]) -> NDArray[np.float64]:
        """image: (H, W, 3) RGB. points: (68, 2) in pixels, finite, by which the face is cut out upright."""
        (left, top), (right, bottom) = (np.rint(edge).astype(int) for edge in (points.min(0), points.max(0)))
        parts = [self._dlib.point(int(x), int(y)) for x, y in np.rint(points)]
        face = self._dlib.full_object_detection(
            self._dlib.rectangle(int(left), int(top), int(right), int(bottom)), parts
        )
        vector = np.array(self._network.compute_face_descriptor(np.ascontiguousarray(image), face))
        return vector / np.linalg.norm(vector)


def identity_file() -> Path:
    """The network's file. Raises PipelineError, one line, where it or dlib is not installed."""
    try:
        import dlib  # noqa: F401

        return wheel_file(*FILE)
    except (PackageNotFoundError, ImportError) as error:
        raise PipelineError(f"dlib or {FILE[0]} is not installed: {_EXTRA}") from error

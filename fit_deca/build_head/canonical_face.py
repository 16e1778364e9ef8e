"""MediaPipe's canonical face mesh, read out of the landmark model's task file, and what its vertices are.

A vertex of the mesh is the landmark of the same number; "right" and "left" are the person's.
Source: MediaPipe face geometry (Apache-2.0), the metadata inside `face_landmarker.task`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fit_deca.errors import FaceModelError

CANONICAL_POINTS = 468

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""The rim of the face, from the top of the forehead down the left side to the chin and up the right side."""

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
"""The edge of the lids from the outer corner, counter-clockwise seen from the front."""

EYE_FOLDS = ((30, 29, 27, 28), (260, 259, 257, 258))
"""The row of vertices above the upper lid's edge, right and left."""

MOUTH = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
"""The inner edge of the lips from the right corner, counter-clockwise seen from the front."""

NOSE = (1, 4, 5, 195, 98, 327)
"""Bridge, tip and wings."""

CONTOUR_68 = (127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356)
"""The first 17 of the 68 points: the outline, from the right ear by the chin to the left ear."""

INNER_68 = (
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
)
"""The other 51 of the 68 points."""

_METADATA = "geometry_pipeline_metadata_landmarks.binarypb"
_MESH, _VERTICES, _INDICES = 1, 3, 4  # numbers of fields
_FLOATS_PER_VERTEX = 5  # place, then texture coordinates
_METRES = 0.01  # the file has centimetres


def read_canonical_face(task_file: str | Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The canonical face: vertices (468, 3) and faces (898, 3), which cover eyes and mouth.

    Metres, x to the person's left, y up, looking along +z. Raises FaceModelError naming the file if it has none.
    """
    try:
        with zipfile.ZipFile(task_file) as bundle:
            metadata = _protobuf_fields(bundle.read(_METADATA))
        mesh = [field for part in metadata if part.number == _MESH for field in _protobuf_fields(part.data)]
        floats = np.frombuffer(b"".join(field.data for field in mesh if field.number == _VERTICES), "<f4")
        points = floats.reshape(-1, _FLOATS_PER_VERTEX)[:, :3].astype(np.float64) * _METRES
        faces = np.array([field.integer for field in mesh if field.number == _INDICES], np.int64).reshape(-1, 3)
        if len(points) != CANONICAL_POINTS or faces.max() >= CANONICAL_POINTS:
            raise ValueError(f"{len(points)} vertices")
    except (OSError, zipfile.BadZipFile, KeyError, IndexError, ValueError) as error:
        expected = "holds no canonical face mesh; give MediaPipe's face_landmarker.task"
        raise FaceModelError(f"{task_file}: {expected}") from error
    return points, faces


class _Field(NamedTuple):
    """A field of a protocol buffer message: an integer, or, of any other kind, its bytes."""

    number: int
    integer: int
    data: bytes


def _protobuf_fields(message: bytes) -> Iterator[_Field]:
    position = 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield _Field(number, varint(), b"")
        else:
            size = {1: 8, 5: 4}[kind] if kind != 2 else varint()
            yield _Field(number, 0, message[position : position + size])
            position += size

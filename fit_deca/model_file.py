"""Face models on disk: FLAME's file format, as the published pickle or as the same arrays in an .npz.

Source of names and shapes: FLAME (SIGGRAPH Asia 2017), FLAME 2020 and 2023, and DECA's landmark file.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fit_deca.codes import CODE_SIZES
from fit_deca.errors import FaceModelError
from fit_deca.safe_pickle import read_pickled_arrays

Arrays = Mapping[str, NDArray[Any]]

PARENTS = (-1, 0, 1, 1, 1)
"""FLAME's joints are root, neck, jaw, left eye, right eye; each number is a joint's parent."""

MEDIAPIPE_POINTS = 478

_SHAPES = CODE_SIZES["shape"]
_COMPONENTS = _SHAPES + CODE_SIZES["expression"]
_PUBLISHED_COMPONENTS = 400
_PUBLISHED_SHAPES = 300

_KINDS = {"fiu": "numbers", "iu": "whole numbers", "U": "text"}

_DAMAGE = (
    *(EOFError, MemoryError, RuntimeError, ValueError),
    *(lzma.LZMAError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What reading a damaged .npz raises."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Correspondence:
    """Points on a mesh. faces: (...) int64, the face each lies on. bary: (..., 3) float32, weights of its corners."""

    faces: NDArray[np.int64]
    bary: NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class LandmarkEmbedding:
    """The 68-point convention on a mesh.

    static: 51 points inside the face. dynamic: (79, 17) contour points, a row per degree of head turn (`Flame`).
    full: 68 points that stay where they are.
    """

    static: Correspondence
    dynamic: Correspondence
    full: Correspondence


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceModel:
    """A head of V vertices and F faces in FLAME's terms, in metres, y up, looking along +z.

    v_template: (V, 3) float32. faces: (F, 3) int64, counter-clockwise seen from outside.
    shapedirs: (V, 3, 150) float32, 100 shape then 50 expression components.
    posedirs: (36, 3V) float32, correctives of the row-major entries of R - 1 of joints 1 to 4.
    J_regressor: (5, V) float32, vertices to joints. parents: (5,) int64. weights: (V, 5) float32, skinning.
    landmarks: the 68 points; mediapipe: MediaPipe's 478 points; None where the file has none.
    """

    name: str
    v_template: NDArray[np.float32]
    faces: NDArray[np.int64]
    shapedirs: NDArray[np.float32]
    posedirs: NDArray[np.float32]
    J_regressor: NDArray[np.float32]
    parents: NDArray[np.int64]
    weights: NDArray[np.float32]
    landmarks: LandmarkEmbedding | None = None
    mediapipe: Correspondence | None = None

    def __post_init__(self) -> None:
        sixty_eight = (self.landmarks.static, self.landmarks.dynamic, self.landmarks.full) if self.landmarks else ()
        for points in (*sixty_eight, *((self.mediapipe,) if self.mediapipe else ())):
            if points.faces.max() >= len(self.faces):
                mesh = f"the mesh of {self.name!r} has {len(self.faces)} faces"
                raise FaceModelError(f"{mesh}, but its landmarks lie on face {points.faces.max()}")

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the arrays that turn codes into vertices: equal hashes, equal meanings of codes and vertices.

        The same for the same numbers whatever the file's format, its float type and its landmarks.
        """
        digest = hashlib.sha256()
        for name in ("v_template", "faces", "shapedirs", "posedirs", "J_regressor", "parents", "weights"):
            array = getattr(self, name)
            digest.update(f"{name} {array.shape} {array.dtype.str}\n".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()


def load_face_model(path: str | Path) -> FaceModel:
    """Read a face model: FLAME's published pickle (2020 or 2023), or an .npz of the same arrays.

    Nothing in the file is executed. A pickle has no landmarks; an .npz may carry those of the landmark file and
    `mediapipe_faces_idx`, `mediapipe_bary_coords`, `name`. The name is the file's stem otherwise.
    Raises FaceModelError naming the file and what was expected.
    """
    path = Path(path)
    with _blaming(path):
        if zipfile.is_zipfile(path):
            with np.load(path, allow_pickle=False) as arrays:
                name = str(_array(arrays, "name", (), kinds="U")) if "name" in arrays else path.stem
                return face_model_from_arrays(arrays, name)
        with path.open("rb") as file:
            return face_model_from_arrays(read_pickled_arrays(file), path.stem)


def load_landmark_embedding(path: str | Path) -> LandmarkEmbedding:
    """Read DECA's `landmark_embedding.npy`, a pickled dict. Nothing in it is executed.

    Raises FaceModelError naming the file and what was expected.
    """
    path = Path(path)
    with _blaming(path), path.open("rb") as file:
        start = file.read(10)
        if start[:8] != b"\x93NUMPY\x01\x00":
            raise FaceModelError("not a landmark file: expected the .npy that comes with DECA")
        file.seek(int.from_bytes(start[8:], "little"), io.SEEK_CUR)
        return landmarks_from_arrays(read_pickled_arrays(file))


def face_model_from_arrays(arrays: Arrays, name: str) -> FaceModel:
    """Check arrays that go by FLAME's names and bring them into our form.

    shapedirs may have 400 columns (300 shape, 100 expression, of which 100 and 50 are taken) or our 150.
    Raises FaceModelError saying which array is missing or wrong.
    """
    v_template = _floats(arrays, "v_template", (None, 3))
    vertices = len(v_template)
    faces = _indices(arrays, "f", (None, 3))
    if faces.max() >= vertices:
        raise FaceModelError(f"f names vertex {faces.max()}, but v_template has {vertices}")
    shapedirs = _floats(arrays, "shapedirs", (vertices, 3, None))
    if shapedirs.shape[2] == _PUBLISHED_COMPONENTS:
        expressions = slice(_PUBLISHED_SHAPES, _PUBLISHED_SHAPES + CODE_SIZES["expression"])
        shapedirs = np.concatenate([shapedirs[..., :_SHAPES], shapedirs[..., expressions]], axis=2)
    elif shapedirs.shape[2] != _COMPONENTS:
        counts = f"expected {_PUBLISHED_COMPONENTS} or {_COMPONENTS}"
        raise FaceModelError(f"shapedirs has {shapedirs.shape[2]} components, {counts}")
    joints = len(PARENTS)
    posedirs = _floats(arrays, "posedirs", (vertices, 3, 9 * (joints - 1)))
    return FaceModel(
        name=name,
        v_template=v_template,
        faces=faces,
        shapedirs=shapedirs,
        posedirs=np.ascontiguousarray(posedirs.reshape(3 * vertices, -1).T),
        J_regressor=_floats(arrays, "J_regressor", (joints, vertices)),
        parents=_parents(arrays),
        weights=_floats(arrays, "weights", (vertices, joints)),
        landmarks=landmarks_from_arrays(arrays) if "full_lmk_faces_idx" in arrays else None,
        mediapipe=_correspondence(arrays, "mediapipe", (MEDIAPIPE_POINTS,))
        if "mediapipe_faces_idx" in arrays
        else None,
    )


def landmarks_from_arrays(arrays: Arrays) -> LandmarkEmbedding:
    """Check landmark arrays that go by the names of DECA's landmark file, and bring them into our form."""
    full = _correspondence(arrays, "full_lmk", (1, 68))
    return LandmarkEmbedding(
        static=_correspondence(arrays, "static_lmk", (51,)),
        dynamic=_correspondence(arrays, "dynamic_lmk", (79, 17)),
        full=Correspondence(faces=full.faces[0], bary=full.bary[0]),
    )


def save_npz(model: FaceModel, path: str | Path) -> None:
    """Write a face model so that `load_face_model` gives it back; equal models give equal bytes."""
    arrays: dict[str, NDArray[Any]] = {
        "name": np.array(model.name),
        "v_template": model.v_template,
        "f": model.faces,
        "shapedirs": model.shapedirs,
        "posedirs": model.posedirs.T.reshape(len(model.v_template), 3, -1),
        "J_regressor": model.J_regressor,
        "kintree_table": np.stack([model.parents, np.arange(len(PARENTS))]),
        "weights": model.weights,
    }
    if model.landmarks:
        full = Correspondence(faces=model.landmarks.full.faces[None], bary=model.landmarks.full.bary[None])
        arrays |= _named("static_lmk", model.landmarks.static)
        arrays |= _named("dynamic_lmk", model.landmarks.dynamic)
        arrays |= _named("full_lmk", full)
    if model.mediapipe:
        arrays |= _named("mediapipe", model.mediapipe)
    np.savez_compressed(Path(path), **arrays)  # type: ignore[arg-type]


def _named(prefix: str, points: Correspondence) -> dict[str, NDArray[Any]]:
    return {f"{prefix}_faces_idx": points.faces, f"{prefix}_bary_coords": points.bary}


def _correspondence(arrays: Arrays, prefix: str, shape: tuple[int, ...]) -> Correspondence:
    faces = _indices(arrays, f"{prefix}_faces_idx", shape)
    return Correspondence(faces=faces, bary=_floats(arrays, f"{prefix}_bary_coords", (*shape, 3)))


def _parents(arrays: Arrays) -> NDArray[np.int64]:
    """The published table is unsigned, so that the root's parent, -1, is the largest number of its type."""
    parents = _array(arrays, "kintree_table", (2, len(PARENTS)), kinds="iu")[0].astype(np.int64)
    if parents[0] == np.iinfo(np.uint32).max:
        parents[0] = -1
    if tuple(parents) != PARENTS:
        raise FaceModelError(f"kintree_table has parents {parents.tolist()}, expected FLAME's {list(PARENTS)}")
    return parents


def _indices(arrays: Arrays, name: str, shape: tuple[int | None, ...]) -> NDArray[np.int64]:
    array = _array(arrays, name, shape, kinds="iu").astype(np.int64)
    if array.size == 0 or array.min() < 0:
        raise FaceModelError(f"{name} is empty or has negative numbers")
    return array


def _floats(arrays: Arrays, name: str, shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    array = _array(arrays, name, shape, kinds="fiu").astype(np.float32)
    if not np.isfinite(array).all():
        raise FaceModelError(f"{name} has values that are not finite")
    return array


def _array(arrays: Arrays, name: str, shape: tuple[int | None, ...], kinds: str) -> NDArray[Any]:
    if name not in arrays:
        raise FaceModelError(f"not a FLAME file: it has no {name}")
    array = np.asarray(arrays[name])  # an .npz member of another kind comes as bytes
    sizes = ", ".join(map(str, array.shape))
    fits = array.ndim == len(shape) and all(want in (None, size) for want, size in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in kinds:
        want = ", ".join("any" if size is None else str(size) for size in shape)
        raise FaceModelError(f"{name} is ({sizes}) of {array.dtype}, expected ({want}) of {_KINDS[kinds]}")
    return array


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Faults within become one line that begins with the file."""
    try:
        yield
    except FaceModelError as error:
        raise FaceModelError(f"{path}: {error}") from error.__cause__
    except OSError as error:
        raise FaceModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise FaceModelError(f"{path}: not a file of arrays, or damaged") from error

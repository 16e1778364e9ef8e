"""Codes as a file: an edited face, or one that moves, without pictures. It drives other faces as a video does.

An `.npz` that numpy reads without this project:

- `codes`       float32 (T, 165), FLAME codes in the order of `CODE_SIZES`
- `times`       float64 (T,), seconds, rising
- `recover`     float64 (T, 3, 3), the camera's plane -> pixels of square pictures
- `size`        side of these pictures
- `face_model`  name and hash, as in `dataset.json`
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.codes import CODE_SIZES, Codes
from pipeline.atomic import atomic_path
from pipeline.dataset import refuse_mix
from pipeline.errors import PipelineError
from pipeline.performance import Performance
from pipeline.shards import FaceModelStamp

SUFFIX = ".npz"


def write_performance(path: Path, performance: Performance) -> None:
    """Write the file, whole or not at all; equal ones give equal bytes. Raises PipelineError if it cannot be."""
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file,
            codes=performance.codes.flat().numpy().astype("<f4"),
            times=performance.times.astype("<f8"),
            recover=performance.recover.astype("<f8"),
            size=np.array(performance.size),
            face_model=np.array([performance.face_model.name, performance.face_model.hash]),
        )


def read_performance(path: Path, face_model: FaceModelStamp) -> Performance:
    """Read what `write_performance` wrote.

    face_model: what the reader turns codes into vertices with.
    Raises PipelineError for another file, and for codes of another face model.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            codes, times, recover = (arrays[name] for name in ("codes", "times", "recover"))
            size, (name, hash_) = int(arrays["size"]), arrays["face_model"].tolist()
        _check(codes, times, recover, size)
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise PipelineError(f"{path}: not a file of codes that edit saved ({error})") from error
    refuse_mix(path, FaceModelStamp(name=name, hash=hash_), face_model)
    return Performance(
        times=times, codes=Codes.from_flat(torch.from_numpy(codes)), recover=recover, size=size, face_model=face_model
    )


def _check(codes: NDArray[Any], times: NDArray[Any], recover: NDArray[Any], size: int) -> None:
    """Raise ValueError unless the arrays belong together."""
    count = len(times)
    _check_array("codes", codes, (count, sum(CODE_SIZES.values())), "<f4")
    _check_array("times", times, (count,), "<f8")
    _check_array("recover", recover, (count, 3, 3), "<f8")
    if not count or size < 1 or (np.diff(times) <= 0).any():
        raise ValueError("no frames, no size, or times that do not rise")


def _check_array(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: str) -> None:
    if array.shape != shape or array.dtype != np.dtype(dtype) or not np.isfinite(array).all():
        raise ValueError(f"{name} are not {shape} finite numbers of type {dtype}")

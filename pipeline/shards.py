"""Samples as bytes: one frame is one sample of a WebDataset tar.

Members of a sample, in this order in the tar:

- `<key>.codes.npy`     float32 (165,), FLAME codes in the order of `CODE_SIZES`
- `<key>.jpg`           the picture, JPEG quality 95 without chroma subsampling
- `<key>.json`          `Sample`'s other fields, and what the arrays mean
- `<key>.vertices.npy`  int16 (V, 3), pixels times `vertices_scale` of the JSON

A dataset may be stored without one of the two arrays; then its member and what the JSON says of it are not there.
Plain `webdataset` and numpy read all of it; the key is `pipeline.keys`'. Equal samples give equal bytes.
"""

from __future__ import annotations

import io
import json
import math
import os
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from webdataset import TarWriter
from webdataset.tariterators import group_by_keys, tar_file_expander

from fit_deca.codes import CODE_SIZES
from fit_deca.model_file import FaceModel
from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError
from pipeline.keys import Key, parse_key
from pipeline.records import Crops, Fit, Track
from pipeline.storage import copy_into, read_range

Array = Literal["vertices", "codes"]
ARRAYS: tuple[Array, ...] = get_args(Array)
JPEG_QUALITY = 95
INT16_MAX = np.iinfo(np.int16).max


@dataclass(frozen=True, kw_only=True)
class FaceModelStamp:
    """Which face model gives codes and vertices their meaning. hash: `FaceModel.hash`."""

    name: str
    hash: str

    @classmethod
    def of(cls, model: FaceModel) -> FaceModelStamp:
        return cls(name=model.name, hash=model.hash)

    def __str__(self) -> str:
        return f"{self.name} ({self.hash[:12]})"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One frame of one track, as stored.

    time: seconds. image: (S, S, 3) uint8 RGB. arrays: those of `vertices` and `codes` that are stored.
    crop: (3, 3) float64, clip pixels -> the picture's. recover: (3, 3) float64, the camera's plane -> the picture's
    pixels. error_median_px: over the frame's landmarks.
    """

    key: Key
    time: float
    image: NDArray[np.uint8]
    arrays: Mapping[Array, NDArray[np.float32]]
    crop: NDArray[np.float64]
    recover: NDArray[np.float64]
    error_median_px: float

    @property
    def vertices(self) -> NDArray[np.float32]:
        """(V, 3), x and y in the picture's pixels, z away from the viewer in the same unit.

        Raises PipelineError where they are not stored; `pipeline.render.Take` can work them out.
        """
        return self._array("vertices")

    @property
    def codes(self) -> NDArray[np.float32]:
        """(165,). Raises PipelineError where they are not stored."""
        return self._array("codes")

    def _array(self, name: Array) -> NDArray[np.float32]:
        if name not in self.arrays:
            raise lacks(str(self.key), name)
        return self.arrays[name]


def lacks(what: str, name: Array) -> PipelineError:
    """The error of a reader that needs what is not stored."""
    return PipelineError(f"{what}: stored without {name}; preprocess again with --store vertices,codes")


def samples_of(track: Track, crops: Crops, fit: Fit, store: Collection[Array] = ARRAYS) -> Iterator[Sample]:
    """The frames of a fitted track, in order. store: the arrays that they keep."""
    clip = track.clip
    stored = {"vertices": fit.vertices, "codes": fit.codes.flat().numpy()}
    arrays = {name: stored[name] for name in ARRAYS if name in store}
    for row, number in enumerate(track.numbers.tolist()):
        yield Sample(
            key=Key(clip.identity, clip.video, clip.clip, track.index, number),
            time=float(track.times[row]),
            image=crops.images[row],
            arrays={name: array[row] for name, array in arrays.items()},
            crop=crops.transforms[row],
            recover=fit.recover[row],
            error_median_px=float(np.median(fit.error_px[row])),
        )


def encode_sample(sample: Sample, model: FaceModelStamp) -> dict[str, Any]:
    """A sample as `TarWriter` takes it: extension -> bytes, and `__key__`."""
    members, about_arrays = _encode_arrays(sample)
    height, width = sample.image.shape[:2]
    about = {
        **sample.key._asdict(),
        "time": sample.time,
        "size": [width, height],
        "crop": sample.crop.tolist(),
        "recover": sample.recover.tolist(),
        **about_arrays,
        "error_median_px": sample.error_median_px,
        "face_model": {"name": model.name, "hash": model.hash},
    }
    image = np.ascontiguousarray(sample.image)
    return {
        "__key__": str(sample.key),
        "jpg": simplejpeg.encode_jpeg(image, quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="444"),
        **members,
        "json": json.dumps(about).encode(),
    }


def _encode_arrays(sample: Sample) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Members of the arrays that the sample has, and what the JSON says of them."""
    members: dict[str, bytes] = {}
    about: dict[str, Any] = {}
    if "vertices" in sample.arrays:
        scale = about["vertices_scale"] = fixed_point_scale(sample.vertices)
        members["vertices.npy"] = _npy(np.rint(sample.vertices * scale).astype("<i2"))
    if "codes" in sample.arrays:
        about["codes"] = CODE_SIZES
        members["codes.npy"] = _npy(sample.codes.astype("<f4"))
    return members, about


def decode_sample(members: Mapping[str, Any]) -> tuple[Sample, FaceModelStamp]:
    """The inverse of `encode_sample`, but for what JPEG and fixed point lose."""
    about = json.loads(members["json"])
    arrays: dict[Array, NDArray[np.float32]] = {}
    if "vertices.npy" in members:
        arrays["vertices"] = _array(members["vertices.npy"]).astype(np.float32) / np.float32(about["vertices_scale"])
    if "codes.npy" in members:
        arrays["codes"] = _array(members["codes.npy"])
    sample = Sample(
        key=parse_key(members["__key__"]),
        time=about["time"],
        image=simplejpeg.decode_jpeg(members["jpg"], colorspace="RGB"),
        arrays=arrays,
        crop=np.array(about["crop"]),
        recover=np.array(about["recover"]),
        error_median_px=about["error_median_px"],
    )
    return sample, FaceModelStamp(**about["face_model"])


def fixed_point_scale(vertices: NDArray[np.float32]) -> float:
    """The largest power of two that keeps every coordinate within int16: 64 or more for pictures of 256 pixels.

    Rounding is off by half its inverse, so by less than 0.02 px up to 1023 px from the picture's corner.
    """
    return 2.0 ** math.floor(math.log2((INT16_MAX - 0.5) / max(float(np.abs(vertices).max()), 1.0)))


def write_part(path: Path, samples: Iterator[Sample], model: FaceModelStamp) -> list[int]:
    """Write the members of samples, without a tar's end, for `join_parts`. Returns where each begins and the last ends.

    Raises PipelineError if the file cannot be written.
    """
    with atomic_path(path) as partial:
        with partial.open("wb") as file, _tar_writer(file) as tar:
            offsets = [0]
            for sample in samples:
                tar.write(encode_sample(sample, model))
                offsets.append(tar.tarstream.offset)
        os.truncate(partial, offsets[-1])
    return offsets


def join_parts(path: Path, parts: Iterable[Path]) -> None:
    """Write a shard: the parts in this order, and a tar's end. Raises PipelineError if a part is missing."""
    with atomic_path(path) as partial, partial.open("wb") as shard:
        for part in parts:
            copy_into(part, shard)
        end = shard.tell() + 2 * tarfile.BLOCKSIZE
        shard.truncate(end + -end % tarfile.RECORDSIZE)


def _tar_writer(file: BinaryIO) -> TarWriter:
    return TarWriter(file, user="gdpw", group="gdpw", mtime=0, encoder=False)


def read_shard(path: Path) -> Iterator[tuple[Sample, FaceModelStamp]]:
    """All samples of a shard, in order. Raises PipelineError where it cannot be read."""
    try:
        with path.open("rb") as file:
            for members in group_by_keys(tar_file_expander([{"url": str(path), "stream": file}])):
                yield decode_sample(members)
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise PipelineError(f"{path}: not a readable shard ({error})") from error


def read_sample(path: Path, start: int, end: int) -> tuple[Sample, FaceModelStamp]:
    """The one sample that lies in these bytes of a shard. Raises PipelineError where they are no sample."""
    try:
        data = read_range(path, start, end)
        (members,) = group_by_keys(tar_file_expander([{"url": str(path), "stream": io.BytesIO(data)}]))
        return decode_sample(members)
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise PipelineError(f"{path}: no sample at bytes {start} to {end} ({error})") from error


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _array(data: bytes) -> NDArray[Any]:
    return np.load(io.BytesIO(data), allow_pickle=False)

"""A frame of a shard as training wants it: its bytes alone are read, and decoded straight into a batch.

`pipeline.shards` says what the members hold; of them only picture, mesh and description are looked at here.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.shards import FaceModelStamp
from pipeline.storage import read_range
from pipeline.track_index import TAR_BLOCK

_NPY_HEADER_AT = 10
"""Bytes of magic, version and header length in front of the header of an .npy of version 1."""

_PAX_PATH = re.compile(rb"^\d+ path=(.*)$", re.MULTILINE)


class StoredFrame(NamedTuple):
    """A frame as stored. jpeg: the picture, still encoded, width x height pixels. vertices: (V, 3) int16, in pixels
    times `scale`."""

    shard: str
    key: str
    jpeg: bytes | memoryview
    width: int
    height: int
    vertices: NDArray[np.int16]
    scale: float
    face_model: FaceModelStamp

    def decode_into(self, picture: NDArray[np.uint8], vertices: NDArray[np.float32]) -> None:
        """Fill the picture (S, S, 3) RGB, resized if need be, and the mesh (V, 3), NDC with z in stored pixels.

        Raises PipelineError for a picture that cannot be decoded or is not square, and for a mesh of another size.
        """
        try:
            self._decode_picture(picture)
            self._decode_vertices(vertices)
        except ValueError as error:
            raise PipelineError(f"{self.shard}: sample {self.key} is not usable ({error})") from error

    def _decode_picture(self, picture: NDArray[np.uint8]) -> None:
        if self.width != self.height:
            raise ValueError(f"a picture of {self.width}x{self.height} is not square")
        size = len(picture)
        if self.width == size:
            simplejpeg.decode_jpeg(self.jpeg, colorspace="RGB", buffer=picture)
        else:
            import cv2  # large, and not needed where pictures are trained on in the size they are stored in

            stored = simplejpeg.decode_jpeg(self.jpeg, colorspace="RGB")
            shrinks = size < self.width
            cv2.resize(stored, (size, size), picture, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)

    def _decode_vertices(self, vertices: NDArray[np.float32]) -> None:
        if self.vertices.shape != vertices.shape:
            raise ValueError(f"a mesh of {len(self.vertices)} vertices among meshes of {len(vertices)}")
        factors, shifts = _to_ndc(len(vertices), self.width, self.scale)
        np.multiply(self.vertices, factors, out=vertices)
        vertices -= shifts


@lru_cache(maxsize=16)
def _to_ndc(vertices: int, size: int, scale: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Factors and shifts, (V, 3) each, since numpy is slow at spreading a row of three over many."""
    factors = np.array([2 / size, 2 / size, 1], np.float32) / np.float32(scale)
    return np.tile(factors, (vertices, 1)), np.tile(np.array([1, 1, 0], np.float32), (vertices, 1))


def read_frame(shard: Path, start: int, stop: int, prefix: str) -> StoredFrame:
    """The frame that lies in these bytes of a shard. prefix: what its key begins with, by `keys.track_prefix`.

    Raises PipelineError, naming shard and track, where there is no such sample.
    """
    try:
        frame = parse_frame(read_range(shard, start, stop), str(shard))
        if not frame.key.startswith(prefix):
            raise ValueError(f"{frame.key} lies there: the manifest is of another shard")
    except (OSError, ValueError, KeyError) as error:
        place = f"bytes {start} to {stop}, of the track {prefix}"
        raise PipelineError(f"{shard}: no usable sample in {place} ({error}); run preprocess again") from error
    return frame


def parse_frame(sample: bytes, shard: str) -> StoredFrame:
    """The frame in the bytes of one sample of the shard of that name.

    Raises ValueError or KeyError where they are none.
    """
    members: dict[str, memoryview] = {}
    keys = set()
    for name, content in _tar_members(sample):
        key, _, extension = name.partition(".")
        keys.add(key)
        members[extension] = content
    if len(keys) != 1:
        raise ValueError(f"holds {len(keys)} samples, not one")
    return stored_frame(shard, keys.pop(), members)


def _tar_members(data: bytes) -> Iterator[tuple[str, memoryview]]:
    """Names and contents, not copied, of the files in a part of a tar. Python's own reader takes ten times as long."""
    at, long_name, contents = 0, None, memoryview(data)
    while at < len(data):
        header = data[at : at + TAR_BLOCK]
        if header[257:262] != b"ustar":
            raise ValueError("no tar member begins there")
        size, kind, begin = int(header[124:135], 8), header[156:157], at + TAR_BLOCK
        content = contents[begin : begin + size]
        if len(content) < size:
            raise ValueError("ends too early")
        at = begin + -(-size // TAR_BLOCK) * TAR_BLOCK
        if kind == b"x":  # what the next header has no room for
            long_name = _PAX_PATH.search(content)
        elif kind == b"0":
            yield (long_name[1] if long_name else header[:100].rstrip(b"\0")).decode(), content
            long_name = None
        else:
            raise ValueError(f"a tar member of kind {kind!r}")


def stored_frame(shard: str, key: str, members: Mapping[str, Any]) -> StoredFrame:
    """The frame in a sample's members, extension -> bytes.

    Raises ValueError or KeyError where they are none.
    """
    about = json.loads(bytes(members["json"]))
    width, height = about["size"]
    vertices = _npy(members["vertices.npy"])
    if vertices.dtype != np.int16 or vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"{vertices.dtype} {vertices.shape} is no mesh")
    return StoredFrame(
        shard=shard,
        key=key,
        jpeg=members["jpg"],
        width=width,
        height=height,
        vertices=vertices,
        scale=about["vertices_scale"],
        face_model=FaceModelStamp(**about["face_model"]),
    )


def _npy(data: bytes | memoryview) -> NDArray[Any]:
    """The array in an .npy, without copying it; its header is looked at once for all arrays of that kind."""
    begin = _NPY_HEADER_AT + int.from_bytes(data[_NPY_HEADER_AT - 2 : _NPY_HEADER_AT], "little")
    dtype, shape = _layout(bytes(data[:begin]))
    return np.frombuffer(data, dtype, offset=begin).reshape(shape)


@lru_cache(maxsize=64)
def _layout(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not header.startswith(b"\x93NUMPY\x01"):
        raise ValueError("no .npy of version 1")
    about = ast.literal_eval(header[_NPY_HEADER_AT:].decode())
    if about["fortran_order"]:
        raise ValueError("an array in Fortran order")
    return np.dtype(about["descr"]), about["shape"]

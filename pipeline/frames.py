"""A frame of a shard as training wants it: its bytes alone are read, and decoded straight into a batch.

`pipeline.shards` says what the members hold; of them only picture, mesh and description are looked at here.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from pipeline.shards import FaceModelStamp
from pipeline.track_index import TAR_BLOCK

_NPY_HEADER_AT = 10
"""Bytes of magic, version and header length in front of the header of an .npy of version 1."""


class StoredFrame(NamedTuple):
    """A frame as stored. jpeg: the picture, still encoded, width x height pixels. vertices: (V, 3) int16, in pixels
    times `scale`."""

    key: str
    jpeg: bytes
    width: int
    height: int
    vertices: NDArray[np.int16]
    scale: float
    face_model: FaceModelStamp

    def decode_into(self, picture: NDArray[np.uint8], vertices: NDArray[np.float32]) -> None:
        """Fill the picture (S, S, 3) RGB, resized if need be, and the mesh (V, 3), NDC with z in stored pixels.

        Raises ValueError for a picture that cannot be decoded or is not square, and for a mesh of another size.
        """
        if self.width != self.height:
            raise ValueError(f"a picture of {self.width}x{self.height} is not square")
        size = len(picture)
        if self.width == size:
            simplejpeg.decode_jpeg(self.jpeg, colorspace="RGB", buffer=picture)
        else:
            stored = simplejpeg.decode_jpeg(self.jpeg, colorspace="RGB")
            shrinks = size < self.width
            cv2.resize(stored, (size, size), picture, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        if self.vertices.shape != vertices.shape:
            raise ValueError(f"a mesh of {len(self.vertices)} vertices among meshes of {len(vertices)}")
        to_pixels, half = np.float32(1 / self.scale), np.float32(self.width / 2)
        np.multiply(self.vertices, to_pixels / half, out=vertices)
        x, y, z = vertices.T  # numpy is slow where rows are as short as three
        x -= 1
        y -= 1
        z *= half


def read_range(path: Path, start: int, stop: int) -> bytes:
    """Bytes start to stop - 1 of a file; fewer where it ends before."""
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        return file.read(stop - start)


def parse_frame(sample: bytes) -> StoredFrame:
    """The frame in the bytes of one sample of a tar. Raises ValueError or KeyError where they are none."""
    members: dict[str, bytes] = {}
    key, at = "", 0
    while at < len(sample):
        header = sample[at : at + TAR_BLOCK]
        if header[257:262] != b"ustar":
            raise ValueError("no tar member begins there")
        size = int(header[124:135], 8)
        name = _text(header[345:500]) + "/" + _text(header[:100]) if header[345] else _text(header[:100])
        own_key, _, extension = name.partition(".")
        if members and own_key != key:
            raise ValueError(f"holds both {key} and {own_key}")
        key = own_key
        at += TAR_BLOCK
        members[extension] = sample[at : at + size]
        at += -(-size // TAR_BLOCK) * TAR_BLOCK
    return stored_frame(key, members)


def stored_frame(key: str, members: Mapping[str, Any]) -> StoredFrame:
    """The frame in a sample's members, extension -> bytes. Raises ValueError or KeyError where they are none."""
    about = json.loads(members["json"])
    width, height = about["size"]
    vertices = _npy(members["vertices.npy"])
    if vertices.dtype != np.int16 or vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"{vertices.dtype} {vertices.shape} is no mesh")
    return StoredFrame(
        key=key,
        jpeg=members["jpg"],
        width=width,
        height=height,
        vertices=vertices,
        scale=about["vertices_scale"],
        face_model=FaceModelStamp(**about["face_model"]),
    )


def _text(field: bytes) -> str:
    return field[: field.index(0)].decode() if 0 in field else field.decode()


def _npy(data: bytes) -> NDArray[Any]:
    """The array in an .npy, without copying it; its header is looked at once for all arrays of that kind."""
    begin = _NPY_HEADER_AT + int.from_bytes(data[_NPY_HEADER_AT - 2 : _NPY_HEADER_AT], "little")
    dtype, shape = _layout(data[:begin])
    return np.frombuffer(data, dtype, offset=begin).reshape(shape)


@lru_cache(maxsize=64)
def _layout(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not header.startswith(b"\x93NUMPY\x01"):
        raise ValueError("no .npy of version 1")
    about = ast.literal_eval(header[_NPY_HEADER_AT:].decode())
    if about["fortran_order"]:
        raise ValueError("an array in Fortran order")
    return np.dtype(about["descr"]), about["shape"]

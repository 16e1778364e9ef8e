"""The original's training folders: `person/video/clip` with a picture and a mesh a frame, of the same stem.

`<stem>_img.jpg` is the picture. `<stem>_posed_vertx.lz4` is its mesh, one LZ4 frame around little-endian numbers: four
int32 (NumPy's number of the type, 2 dimensions, V, 3), then V vertices, x and y in pixels of the picture, z the depth.
Source: GDPW (BMVC 2022), reference Data/utils.py; parity README section 15.
"""

from __future__ import annotations

import struct
from pathlib import Path
from urllib.parse import quote

import lz4.frame
import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError
from pipeline.storage import locate

PICTURE_SUFFIX = "_img.jpg"
VERTICES_SUFFIX = "_posed_vertx.lz4"

NUMPY_TYPES = {0: np.dtype("?"), 2: np.dtype("u1"), 3: np.dtype("<i2"), 11: np.dtype("<f4"), 23: np.dtype("<f2")}
"""The types that occur, by NumPy's number."""

_FLOAT32 = 11
_HEADER = struct.Struct("<4i")
_LZ4_LARGEST_RATIO = 255
"""One byte of LZ4 never stands for more bytes than this, so a small file cannot claim a large mesh."""


def vertices_path(picture: str | Path) -> Path:
    """The mesh's file beside `<stem>_img.jpg`. Raises PipelineError for a picture of another name."""
    picture = locate(picture)
    if not picture.name.endswith(PICTURE_SUFFIX):
        raise PipelineError(f"{picture}: a picture of a training folder is named *{PICTURE_SUFFIX}")
    return picture.with_name(picture.name.removesuffix(PICTURE_SUFFIX) + VERTICES_SUFFIX)


def training_folder(root: Path, identity: str, video: str, clip: str, track: int) -> Path:
    """Where a track's frames lie: `person/video/clip`; the clip's first track has its name, others `~2`, `~3`, ...

    What a folder's name cannot hold, and what the original's file patterns would misread, is percent-encoded.
    """
    folders = (identity, video, clip if track == 0 else f"{clip}~{track + 1}")
    return root.joinpath(*map(_folder_name, folders))


def _folder_name(name: str) -> str:
    encoded = quote(name, safe="#", errors="surrogateescape")
    return f"%2E{encoded[1:]}" if encoded.startswith(".") else encoded


def write_frame(folder: Path, number: int, jpeg: bytes | memoryview, vertices: NDArray[np.float32]) -> None:
    """Write a frame into its training folder, the mesh first: the original looks for pictures and expects their meshes.

    jpeg: the encoded picture, kept byte by byte. vertices: (V, 3), x and y in its pixels.
    Raises PipelineError if a file cannot be written.
    """
    picture = folder / f"{number:07d}{PICTURE_SUFFIX}"
    write_vertices(vertices_path(picture), vertices)
    with atomic_path(picture) as partial:
        partial.write_bytes(jpeg)


def read_vertices(path: str | Path) -> NDArray[np.float32]:
    """The mesh in a `_posed_vertx.lz4` file, (V, 3).

    Raises PipelineError, naming the file, if it cannot be read or holds anything but one mesh of finite numbers.
    """
    try:
        return decode_vertices(locate(path).read_bytes())
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise PipelineError(f"{path}: {error}; leave this frame out or fit it anew") from error


def write_vertices(path: str | Path, vertices: NDArray[np.float32]) -> None:
    """Write a mesh (V, 3) as float32; the file appears whole or not at all.

    Raises PipelineError if it cannot be written, ValueError for an array of another shape.
    """
    data = encode_vertices(vertices)
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def encode_vertices(vertices: NDArray[np.float32]) -> bytes:
    """A mesh (V, 3) as the bytes of a file, float32. Raises ValueError for another shape."""
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"a mesh has shape (V, 3), got {vertices.shape}")
    header = _HEADER.pack(_FLOAT32, 2, *vertices.shape)
    return lz4.frame.compress(header + vertices.astype(NUMPY_TYPES[_FLOAT32]).tobytes())


def decode_vertices(data: bytes) -> NDArray[np.float32]:
    """The inverse of `encode_vertices`, also for the other `NUMPY_TYPES`; (V, 3) float32.

    Raises ValueError for anything but one whole frame with one mesh of finite numbers. What the data claims to hold
    is believed only as far as its own length can bear it out.
    """
    kind, dimensions, count, width = _HEADER.unpack(_decompress(data, _HEADER.size))
    if kind not in NUMPY_TYPES or dimensions != 2 or count < 1 or width != 3:
        raise ValueError(f"not a mesh (type {kind}, {dimensions} dimensions, {count} x {width})")
    size = _HEADER.size + count * width * NUMPY_TYPES[kind].itemsize
    if size > _LZ4_LARGEST_RATIO * len(data):
        raise ValueError(f"claims {count} vertices, more than its {len(data)} bytes can hold")
    values = np.frombuffer(_decompress(data, size, whole=True), NUMPY_TYPES[kind], offset=_HEADER.size)
    if not np.isfinite(values).all():
        raise ValueError("vertices that are not finite")
    return values.reshape(count, width).astype(np.float32)


def _decompress(data: bytes, size: int, *, whole: bool = False) -> bytes:
    """The first `size` bytes inside an LZ4 frame, or all of it (`whole`): then there must be that many, and no more."""
    decoder = lz4.frame.LZ4FrameDecompressor()
    try:
        content = decoder.decompress(data, max_length=size + whole)  # room for one byte too many, to notice it
    except RuntimeError as error:
        raise ValueError("no LZ4 data, or damaged") from error
    if len(content) < size or (whole and not decoder.eof and len(content) == size):
        raise ValueError("ends too early")
    if len(content) > size or (whole and decoder.unused_data):
        raise ValueError("holds more than one mesh")
    return content

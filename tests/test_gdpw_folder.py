"""Meshes of the original's training folders: written and read, and damaged in every way."""

from __future__ import annotations

import struct
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.gdpw_folder import decode_vertices, encode_vertices, read_vertices, vertices_path, write_vertices

TRIANGLE = np.float32([[0, 1.5, -2], [3, 4, 5], [6, 7, 1e6]])
FLOAT32 = 11


def drawn_mesh(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(128, 50, (count, 3)).astype(np.float32)


def mesh_file(kind: int, *dimensions: int, content: bytes = b"") -> bytes:
    """A file with that header and content, whether they fit or not."""
    return lz4.frame.compress(struct.pack(f"<{2 + len(dimensions)}i", kind, len(dimensions), *dimensions) + content)


@pytest.mark.parametrize("vertices", [TRIANGLE, TRIANGLE[:1], drawn_mesh(5023), drawn_mesh(60)[::2]])
def test_meshes_are_read_back_exactly(vertices: NDArray[np.float32], tmp_path: Path) -> None:
    path = tmp_path / "id1" / "video" / "0#25" / "0000000_posed_vertx.lz4"
    write_vertices(path, vertices)
    np.testing.assert_array_equal(read_vertices(path), vertices)
    assert list(path.parent.iterdir()) == [path]


def test_a_mesh_has_three_columns() -> None:
    with pytest.raises(ValueError, match=r"shape \(V, 3\), got \(5, 2\)"):
        encode_vertices(np.zeros((5, 2), np.float32))


def test_the_mesh_of_a_picture_has_its_stem() -> None:
    assert vertices_path("p/v/0#9/0000012_img.jpg") == Path("p/v/0#9/0000012_posed_vertx.lz4")


def test_pictures_of_other_names_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"^p/0001\.jpg: .*\*_img\.jpg"):
        vertices_path("p/0001.jpg")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends too early"),
        (b"<html>not found</html>", "no LZ4 data"),
        (encode_vertices(TRIANGLE)[:-1], "ends too early"),
        (encode_vertices(drawn_mesh(5023))[:9000], "ends too early"),
        (lz4.frame.compress(b"short"), "ends too early"),
        (mesh_file(FLOAT32, 2, 3, content=bytes(23)), "ends too early"),
        (mesh_file(FLOAT32, 2, 3, content=bytes(25)), "holds more than one mesh"),
        (mesh_file(FLOAT32, 2, 3, content=bytes(100_000)), "holds more than one mesh"),
        (encode_vertices(TRIANGLE) * 2, "holds more than one mesh"),
        (encode_vertices(TRIANGLE) + b"\0", "holds more than one mesh"),
        (mesh_file(12, 2, 3, content=bytes(48)), "not a mesh .type 12, 2 dimensions, 2 x 3"),
        (mesh_file(FLOAT32, 6, content=bytes(24)), "not a mesh"),
        (mesh_file(FLOAT32, 2, 3, 1, content=bytes(24)), "not a mesh"),
        (mesh_file(FLOAT32, 3, 2, content=bytes(24)), "not a mesh"),
        (mesh_file(FLOAT32, 0, 3), "not a mesh"),
        (mesh_file(FLOAT32, -1, 3), "not a mesh"),
        (mesh_file(FLOAT32, 1, 3, content=np.float32([1, np.nan, 2]).tobytes()), "not finite"),
        (mesh_file(23, 1, 3, content=np.float16([1, np.inf, 2]).tobytes()), "not finite"),
    ],
)
def test_damaged_files_give_one_line_that_names_them(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "0_posed_vertx.lz4"
    path.write_bytes(data)
    with pytest.raises(PipelineError, match=f"^{path}: .*{message}") as error:
        read_vertices(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"cannot be read [(]No such file"):
        read_vertices(tmp_path / "0_posed_vertx.lz4")


@pytest.mark.parametrize("count", [2**31 - 1, 4_000])
def test_a_mesh_larger_than_its_file_can_hold_is_not_allocated(count: int) -> None:
    with pytest.raises(ValueError, match=r"more than its [0-9]+ bytes can hold"):
        decode_vertices(mesh_file(FLOAT32, count, 3))


def test_a_claim_in_the_lz4_header_is_not_believed() -> None:
    data = bytearray(encode_vertices(drawn_mesh(100)))
    data[6:14] = struct.pack("<Q", 2**60)
    with pytest.raises(ValueError, match="damaged"):
        decode_vertices(bytes(data))


def test_any_damaged_byte_gives_a_mesh_or_one_line() -> None:
    """LZ4 without checksums cannot tell every damage; but what comes back is a mesh, and nothing else is raised."""
    whole = encode_vertices(TRIANGLE)
    for position in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(whole)
            data[position] ^= flip
            try:
                vertices = decode_vertices(bytes(data))
            except ValueError:
                continue
            assert vertices.shape[1] == 3
            assert np.isfinite(vertices).all()

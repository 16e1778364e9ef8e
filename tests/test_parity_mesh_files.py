"""Golden files of section 15: the original's meshes in LZ4."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import lz4.frame
import numpy as np
import pytest
from golden_set import read_json

from pipeline.gdpw_folder import NUMPY_TYPES, read_vertices, write_vertices

FILES: dict[str, Any] = read_json("mesh_files")["files"]


@pytest.mark.parametrize("kind", FILES)
def test_published_files_are_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "0000001_posed_vertx.lz4"
    path.write_bytes(base64.b64decode(FILES[kind]["file_base64"]))
    vertices = read_vertices(path)
    assert vertices.dtype == np.float32
    np.testing.assert_array_equal(vertices, np.float32(FILES[kind]["values"]))


def test_files_are_written_as_published(tmp_path: Path) -> None:
    path = tmp_path / "0000001_posed_vertx.lz4"
    write_vertices(path, np.float32(FILES["float32"]["values"]))
    content = lz4.frame.decompress(path.read_bytes())
    assert content.startswith(bytes.fromhex(FILES["float32"]["raw_header_hex"]))
    assert content == lz4.frame.decompress(base64.b64decode(FILES["float32"]["file_base64"]))


def test_type_numbers_are_numpys() -> None:
    names = read_json("mesh_files")["dtype_codes"]
    assert {str(number): dtype.name for number, dtype in NUMPY_TYPES.items()} == names
    assert all(dtype.num == number for number, dtype in NUMPY_TYPES.items())

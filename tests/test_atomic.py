"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError


def write_half(path: Path) -> None:
    with atomic_path(path) as partial:
        partial.write_text("half")
        raise KeyError


def test_the_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.tar") as partial:
        partial.write_text("whole")
        assert not (tmp_path / "a.tar").exists()
        assert partial.name.startswith(".a.")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    assert (tmp_path / "a.tar").read_text() == "whole"


def test_a_failed_block_leaves_the_former_file(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("former")
    with pytest.raises(KeyError):
        write_half(tmp_path / "a.tar")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["former"]


def test_an_unwritable_place_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(PipelineError, match=r"file/a.tar: cannot be written"),
        atomic_path(tmp_path / "file" / "a.tar") as partial,
    ):
        partial.write_text("whole")

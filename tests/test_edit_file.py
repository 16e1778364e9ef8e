"""Codes in a file: what is written is read, and drives; what is no such file says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fit_deca.codes import CODE_SIZES, Codes
from pipeline.edit_file import read_performance, write_performance
from pipeline.errors import PipelineError
from pipeline.performance import Performance
from pipeline.shards import FaceModelStamp

HEAD = FaceModelStamp(name="head", hash="a" * 64)
SIZE = 8


@pytest.fixture
def performance() -> Performance:
    generator = torch.Generator().manual_seed(0)
    return Performance(
        times=np.array([0.0, 0.04, 0.2]),
        codes=Codes(*(0.1 * torch.randn(3, size, generator=generator) for size in CODE_SIZES.values())),
        recover=np.tile([[SIZE / 2, 0, SIZE / 2], [0, SIZE / 2, SIZE / 2], [0, 0, 1]], (3, 1, 1)),
        size=SIZE,
        face_model=HEAD,
    )


@pytest.fixture
def saved(performance: Performance, tmp_path: Path) -> Path:
    write_performance(tmp_path / "codes.npz", performance)
    return tmp_path / "codes.npz"


def test_what_is_written_is_read(performance: Performance, saved: Path) -> None:
    read = read_performance(saved, HEAD)
    assert torch.equal(read.codes.flat(), performance.codes.flat())
    np.testing.assert_array_equal(read.times, performance.times)
    np.testing.assert_array_equal(read.recover, performance.recover)
    assert (read.size, read.face_model) == (SIZE, HEAD)


def test_equal_codes_give_equal_bytes(performance: Performance, saved: Path, tmp_path: Path) -> None:
    write_performance(tmp_path / "again.npz", performance)
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_codes_of_another_face_model_are_refused(saved: Path) -> None:
    with pytest.raises(PipelineError, match="made with the face model head"):
        read_performance(saved, replace(HEAD, hash="b" * 64))


@pytest.mark.parametrize(
    "changes",
    [
        {"codes": np.zeros((3, 164), np.float32)},
        {"codes": np.zeros((3, 165))},
        {"codes": np.full((3, 165), np.nan, np.float32)},
        {"times": np.array([0.0, 0.2, 0.1])},
        {"times": np.zeros(0)},
        {"times": np.float64(0)},
        {"recover": np.zeros((1, 3, 3))},
        {"size": np.array(0)},
        {"size": np.array([1, 2])},
        {"face_model": np.array(["head"])},
        {"face_model": np.array([{}], object)},
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(saved: Path, changes: dict[str, Any]) -> None:
    with np.load(saved) as arrays:
        content = dict(arrays)
    np.savez(saved, **{**content, **changes})
    with pytest.raises(PipelineError, match="not a file of codes that edit saved"):
        read_performance(saved, HEAD)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 damaged"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.npz").write_bytes(content)
    with pytest.raises(PipelineError, match=r"other\.npz: not a file of codes"):
        read_performance(tmp_path / "other.npz", HEAD)


def test_a_part_of_the_file_is_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(PipelineError, match="not a file of codes"):
        read_performance(saved, HEAD)

"""Long batches in pieces, and what happens where CUDA runs out of memory (which a function here pretends)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fit_deca.batches import InPieces


def doubling(fits: int, seen: list[int]) -> Callable[..., Tensor]:
    """Doubles up to `fits` rows at a time and runs out of memory above; notes the sizes it was called with."""

    def function(rows: Tensor, other: Tensor) -> Tensor:
        seen.append(len(rows))
        assert len(rows) == len(other)
        if len(rows) > fits:
            raise torch.OutOfMemoryError
        return 2 * rows

    return function


ROWS = torch.arange(10.0)[:, None]


def test_pieces_join_to_the_whole() -> None:
    seen: list[int] = []
    assert torch.equal(InPieces(4)(doubling(9, seen), ROWS, ROWS), 2 * ROWS)
    assert seen == [4, 4, 2]


def test_out_of_memory_halves_the_pieces_and_loses_no_row() -> None:
    seen: list[int] = []
    in_pieces = InPieces(8)
    assert torch.equal(in_pieces(doubling(3, seen), ROWS, ROWS), 2 * ROWS)
    assert seen == [8, 4, 2, 2, 2, 2, 2]
    assert in_pieces.rows == 2


def test_halving_starts_from_what_was_tried_not_from_what_was_allowed() -> None:
    seen: list[int] = []
    InPieces(1000)(doubling(5, seen), ROWS, ROWS)
    assert seen == [10, 5, 5]


def test_a_single_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        InPieces(4)(doubling(0, []), ROWS, ROWS)


def test_no_rows_give_no_rows() -> None:
    assert InPieces(4)(doubling(9, []), ROWS[:0], ROWS[:0]).shape == (0, 1)


def test_pieces_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        InPieces(0)

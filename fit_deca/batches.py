"""Long batches in pieces that fit into memory."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


class InPieces:
    """Calls a function of rows on a few rows at a time.

    Where CUDA runs out of memory, the pieces are halved and the work goes on; they stay that small afterwards.
    """

    def __init__(self, rows: int) -> None:
        """rows: how many at a time, at first. Raises ValueError if it is not positive."""
        if rows < 1:
            raise ValueError(f"pieces must have at least one row, got {rows}")
        self.rows = rows

    def __call__(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """`function(*inputs)`; inputs and result are (B, ...), and no row of the result depends on another row.

        Raises torch.OutOfMemoryError where a single row does not fit.
        """
        results: list[Tensor] = []
        start, total = 0, len(inputs[0])
        while start < total or not results:
            piece = [rows[start : start + self.rows] for rows in inputs]
            try:
                results.append(function(*piece))
                start += len(piece[0])
            except torch.OutOfMemoryError:
                if len(piece[0]) <= 1:
                    raise
                self.rows = len(piece[0]) // 2
                logger.warning("CUDA out of memory with %d rows at a time, going on with %d", len(piece[0]), self.rows)
        return torch.cat(results)

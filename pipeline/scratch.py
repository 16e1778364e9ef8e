"""Arrays that are too large to wait in memory."""

from __future__ import annotations

from tempfile import TemporaryFile

import numpy as np
from numpy.typing import DTypeLike, NDArray


def on_disk(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """A writable array in a file without a name: the system keeps of it in memory what it has room for.

    The file goes with the array, whatever happens to the process. It lies where Python's `tempfile` puts it (TMPDIR).
    """
    if 0 in shape:
        return np.empty(shape, dtype)
    with TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)

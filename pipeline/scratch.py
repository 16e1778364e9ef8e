"""What is on disk for a while, and gone by itself: large arrays, and copies for libraries that want files."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO

import numpy as np
from numpy.typing import DTypeLike, NDArray

_OPEN_FILES = Path("/proc/self/fd")
"""Where Linux shows a process its open files, those without a name too."""


class Nameless:
    """A file for a library that opens files by their names. It goes with this object, and with the process.

    file: to write. name: under which this process can open it, for itself alone. Where the system gives no name to a
    file without one, it has one in TMPDIR, which stays behind if the process is killed.
    """

    def __init__(self) -> None:
        if _OPEN_FILES.is_dir():
            self.file: IO[bytes] = TemporaryFile()  # noqa: SIM115, it is open as long as this object is there
            self.name = str(_OPEN_FILES / str(self.file.fileno()))
        else:
            self.file = NamedTemporaryFile()  # noqa: SIM115
            self.name = self.file.name


def on_disk(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
    """A writable array in a file without a name: the system keeps of it in memory what it has room for.

    The file goes with the array, whatever happens to the process. It lies where Python's `tempfile` puts it (TMPDIR).
    """
    if 0 in shape:
        return np.empty(shape, dtype)
    with TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)

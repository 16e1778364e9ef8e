"""A file that is needed for a while, for a library that opens files by their names."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO

_OPEN_FILES = Path("/proc/self/fd")
"""Where Linux shows a process its open files, those without a name too."""


class Nameless:
    """A file in TMPDIR that goes with this object, and with the process, whatever happens to it.

    file: to write. name: under which this process can open it, for itself alone. Where the system gives no name to a
    file without one, the file has one, which stays behind if the process is killed.
    """

    def __init__(self) -> None:
        if _OPEN_FILES.is_dir():
            self.file: IO[bytes] = TemporaryFile()  # noqa: SIM115, it is open as long as this object is there
            self.name = str(_OPEN_FILES / str(self.file.fileno()))
        else:
            self.file = NamedTemporaryFile()  # noqa: SIM115
            self.name = self.file.name

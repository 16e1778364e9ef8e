"""Clips decoded in a process of their own: one that hangs is killed, one that crashes is started anew.

No thread can stop a hung decoder. The process serves clip after clip; pictures come through memory that both share, a
few megabytes ahead of the reader.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing import Pipe
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.closing import Closing
from pipeline.errors import InputError, Reason
from pipeline.records import Clip, Frame

RETRIES = 2
"""How often a clip is read on from where the process died before it counts as the clip's fault."""


class Stored(NamedTuple):
    """A frame whose picture lies in the shared memory: (H, W, 3) uint8 from offset on."""

    number: int
    time: float
    box: NDArray[np.float64] | None
    shape: tuple[int, ...]
    offset: int


class Decoder(Closing):
    """Reads clips as `read_clip` does. Close it, or use it in a `with` statement: it holds a process.

    timeout: seconds in which the next pictures must come.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._process: _Process | None = None

    def __call__(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        """The clip's frames in order, from the one with the number `first` on.

        Raises InputError: what `read_clip` raises, decode_timeout, or worker_died where the process died at one frame
        of the clip again and again.
        """
        deaths = 0
        while True:
            try:
                process = self._process = self._process or _Process()
                for frame in process.read(clip, first, self.timeout):
                    first, deaths = frame.number + 1, 0
                    yield frame
                return
            except TimeoutError:
                self.close()
                message = f"{clip.path}: no picture from number {first} on in {self.timeout:g} s (--decode-timeout)"
                raise InputError(Reason.DECODE_TIMEOUT, message) from None
            except (EOFError, OSError):
                deaths += 1
                self.close()
                if deaths > RETRIES:
                    message = f"{clip.path}: its decoder died {deaths} times at picture number {first}"
                    raise InputError(Reason.WORKER_DIED, message) from None

    @property
    def process_id(self) -> int | None:
        """Of the process; None where none is needed yet."""
        return self._process.id if self._process else None

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process = None


class _Process:
    """The process and the memory shared with it. Its standard input is its lifeline: it ends when that is closed."""

    def __init__(self) -> None:
        """Raises EOFError if the process dies while it starts."""
        self._connection, theirs = Pipe()
        self._file = _shared_file()
        self._memory: mmap.mmap | None = None
        fds = (theirs.fileno(), self._file)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.decoder_process", *map(str, fds)],
            stdin=subprocess.PIPE,
            pass_fds=fds,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self.id = self._process.pid
        theirs.close()
        self._connection.recv()  # it is ready: loading libraries is not decoding

    def read(self, clip: Clip, first: int, timeout: float) -> Iterator[Frame]:
        """Frames from the one with the number `first` on.

        Raises TimeoutError, and EOFError or OSError when the process is dead.
        """
        self._connection.send((clip, first))
        try:
            while (message := self._next(timeout)) is not None:
                if isinstance(message, InputError):
                    raise message
                yield from map(self._frame, message)
                self._connection.send(True)
        except GeneratorExit:
            self._stop(timeout)
            raise

    def _next(self, timeout: float) -> list[Stored] | InputError | None:
        if not self._connection.poll(timeout):
            raise TimeoutError
        message: list[Stored] | InputError | None = self._connection.recv()
        return message

    def _frame(self, stored: Stored) -> Frame:
        size = int(np.prod(stored.shape))
        if self._memory is None or len(self._memory) < stored.offset + size:
            self._memory = mmap.mmap(self._file, 0, prot=mmap.PROT_READ)
        pixels = np.frombuffer(self._memory, np.uint8, size, stored.offset).reshape(stored.shape)
        return Frame(number=stored.number, time=stored.time, image=pixels.copy(), box=stored.box)

    def _stop(self, timeout: float) -> None:
        """Have it leave the clip. One that does not is dead or hangs; the next clip finds it dead."""
        try:
            self._connection.send(False)
            while isinstance(self._next(timeout), list):
                pass
        except (TimeoutError, EOFError, OSError):
            self._process.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._connection.close()
        os.close(self._file)


def _shared_file() -> int:
    """A file without a name, in memory where the system can, so that nothing is left of it whoever is killed."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("frames")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())

"""The process that decodes for `decoder.Decoder`: clips in, pictures into shared memory, a chunk at a time.

It fills one of two halves of the memory while the reader empties the other. Per chunk it sends a list of `Stored`, and
waits for True (go on) or False (leave the clip); after the last, None or the InputError that ended the clip.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

import numpy as np

from pipeline.clips import read_clip
from pipeline.decoder import Stored
from pipeline.errors import InputError
from pipeline.records import Clip, Frame

_HALF_BYTES = 4 << 20
"""Of a half; one picture where that is larger."""


def serve(connection: Connection, file: int) -> None:
    """Until the other end of the connection is closed."""
    memory = _Memory(file)
    connection.send("ready")
    while True:
        try:
            clip, first = connection.recv()
        except EOFError:
            return
        connection.send(_serve_clip(connection, memory, clip, first))


def _serve_clip(connection: Connection, memory: _Memory, clip: Clip, first: int) -> InputError | None:
    """Send the clip's chunks. Returns what ended it early."""
    unread = 0
    fault = None
    chunks = memory.chunks(read_clip(clip, first))
    while True:
        try:
            chunk = next(chunks, None)
        except InputError as error:
            chunk, fault = memory.rest(), error
        if chunk:
            connection.send(chunk)
            unread += 1
        while unread and (unread == 2 or fault or not chunk):
            if not connection.recv():
                return None
            unread -= 1
        if fault or not chunk:
            return fault


class _Memory:
    """Two halves that take turns."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._half = self._begin = self._turn = 0
        self._filled: list[Stored] = []
        self._reserve(_HALF_BYTES)

    def chunks(self, frames: Iterator[Frame]) -> Iterator[list[Stored]]:
        """Store the frames, as many at a time as a half holds."""
        used = 0
        for frame in frames:
            if self._filled and used + frame.image.nbytes > self._half:
                yield self.rest()
                used = 0
            if frame.image.nbytes > self._half:
                self._reserve(frame.image.nbytes)
            offset = self._begin + self._turn * self._half + used
            used += frame.image.nbytes
            np.frombuffer(self._mapped, np.uint8, frame.image.nbytes, offset)[:] = frame.image.reshape(-1)
            self._filled.append(Stored(frame.number, frame.time, frame.box, frame.image.shape, offset))
        if self._filled:
            yield self.rest()

    def rest(self) -> list[Stored]:
        """What is stored since the last chunk."""
        filled, self._filled = self._filled, []
        self._turn = 1 - self._turn
        return filled

    def _reserve(self, half: int) -> None:
        """Make larger halves, behind the former ones, of which one may not be read yet."""
        self._begin, self._half = self._begin + 2 * self._half, half
        os.ftruncate(self._file, self._begin + 2 * half)
        self._mapped = mmap.mmap(self._file, self._begin + 2 * half)


def _end_with_parent() -> None:
    """Standard input is the lifeline; a decoder that hangs does not see it, a thread beside it does."""

    def wait() -> None:
        os.read(0, 1)
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    connection, file = map(int, sys.argv[1:])
    _end_with_parent()
    serve(Connection(connection), file)


if __name__ == "__main__":
    main()

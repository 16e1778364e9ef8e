"""A clip read several times, decoded once as far as memory allows."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.clips import Reader
from pipeline.records import Clip, Frame


class Replay:
    """Reads as `read` does, one clip again and again, until `forget` says that another one comes.

    What the first reading passes by is kept. Read again, it comes from memory, and only what follows is decoded once
    more; a few seconds of video, as most clips are, fit whole.
    """

    def __init__(self, read: Reader, most_bytes: int = 256 << 20) -> None:
        """most_bytes: of pictures that are kept."""
        self._read, self._most_bytes = read, most_bytes
        self.forget()

    def forget(self) -> None:
        self._kept: list[Frame] = []
        self._room = self._most_bytes
        self._begun = False

    def __call__(self, clip: Clip, first: int = 0, /) -> Iterator[Frame]:
        """The clip's frames in order, from the one with the number `first` on; the identity may change in between."""
        if not self._begun:
            self._begun = True
            yield from self._keep(self._read(clip, first))
            return
        for frame in self._kept:
            if frame.number >= first:
                yield frame
        following = self._kept[-1].number + 1 if self._kept else first
        yield from self._read(clip, max(first, following))

    def _keep(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            self._room -= frame.image.nbytes
            if self._room >= 0:
                self._kept.append(frame)
            yield frame

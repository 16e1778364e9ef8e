"""Parts -> shards, while a run goes on: in the order of the plan, each shard once all that it holds is there.

What a shard holds is written down beside it before its parts are removed, so that a run that is killed at any moment
and begun again makes the same shards.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from sys import intern
from typing import Any

from pipeline.ledger import ManifestRow
from pipeline.parts import PARTS, TrackPart
from pipeline.pieces import Pieces
from pipeline.plan import ClipResult, Plan
from pipeline.shards import join_parts
from pipeline.storage import remove, remove_tree, tree

RUN = "run now"
"""Key of the piece that says what the present run has to do."""


class Assembly:
    """The shards of a run and the results of its clips.

    A clip's piece holds its `ClipResult` and its parts, a shard's the keys and parts that it is made of. Clips that
    were planned or done after their place in the order was passed come after all others.
    """

    def __init__(self, pieces: Pieces, plan: Plan, shard_bytes: int) -> None:
        """Take up what was done before. Raises PipelineError if a piece cannot be read."""
        self.results: dict[str, ClipResult] = {}
        self._pieces, self._shard_bytes = pieces, shard_bytes
        self._shards: list[list[tuple[str, int]]] = []
        for key, clip in plan.clips.items():  # of a million names, results and shards are to hold no copies
            intern(key)
            intern(clip.path)
        while (parts := pieces.get(_shard_key(len(self._shards)))) is not None:
            self._shards.append([(intern(key), number) for key, number in parts])
        self._placed = {part for shard in self._shards for part in shard}
        self._sizes: dict[str, list[int]] = {}
        there = {str(path) for path in tree(pieces.out / PARTS)}
        lost = []
        for key, piece in pieces.read_all():
            if " " not in key:
                self._take(key, piece)
                if key in plan.clips and not there.issuperset(self._unplaced(key, piece["parts"])):
                    lost.append(key)  # somebody cleaned up
        complete = {key for key in self._sizes if all((key, n) in self._placed for n in range(len(self._sizes[key])))}
        self._waiting = [key for key in plan.clips if key not in complete or not self._sizes[key]]
        self.forget(lost)
        self._next = 0
        self._open: list[tuple[str, int]] = []
        self._filled = 0

    def note_run(self, *, clips: int, missing: int) -> None:
        """Leave word for `Progress` that a run begins, which has so many clips to do of all."""
        self._pieces.write(RUN, {"clips": clips, "missing": missing, "start": time.time()})

    def add(self, key: str, result: ClipResult, parts: list[TrackPart]) -> None:
        """Keep what became of a clip, and write the shards that are complete with it."""
        piece = {"result": asdict(result), "parts": [[part.file, part.row] for part in parts], "time": time.time()}
        self._pieces.write(key, piece)
        self._take(key, piece)
        self.advance()

    def forget(self, keys: list[str]) -> None:
        """Have clips done again of which no part is in a shard, or of which a part is lost."""
        for key in keys:
            self._pieces.remove(key)
            del self.results[key], self._sizes[key]

    def advance(self) -> None:
        """Write the shards that are complete."""
        while self._next < len(self._waiting) and (key := self._waiting[self._next]) in self._sizes:
            self._next += 1
            for number, size in enumerate(self._sizes[key]):
                if (key, number) in self._placed:
                    continue
                self._open.append((key, number))
                self._filled += size
                if self._filled >= self._shard_bytes:
                    self._seal()

    def finish(self) -> None:
        """Write the last shard, and remove parts that nothing needs any more."""
        self.advance()
        if self._open:
            self._seal()
        remove_tree(self._pieces.out / PARTS)

    def manifest(self) -> Iterator[ManifestRow]:
        """The rows of all shards written, in their order."""
        for number, shard in enumerate(self._shards):
            start = 0
            for key, part in shard:
                row = ManifestRow(**self._pieces.read(key)["parts"][part][1])
                offsets = [start + offset for offset in row.offsets]
                yield replace(row, shard=_shard_name(number), offsets=offsets)
                start = offsets[-1]

    def _unplaced(self, key: str, parts: list[Any]) -> list[str]:
        """Files of parts that wait for their shard."""
        folder = self._pieces.out / PARTS
        return [str(folder / file) for number, (file, _) in enumerate(parts) if (key, number) not in self._placed]

    def _take(self, key: str, piece: dict[str, Any]) -> None:
        key, result = intern(key), piece["result"]
        self.results[key] = ClipResult(**{**result, "path": intern(result["path"])})
        self._sizes[key] = [row["offsets"][-1] for _, row in piece["parts"]]

    def _seal(self) -> None:
        number, parts = len(self._shards), self._open
        files = [self._pieces.out / PARTS / self._pieces.read(key)["parts"][part][0] for key, part in parts]
        join_parts(self._pieces.out / _shard_name(number), files)
        self._pieces.write(_shard_key(number), parts)
        remove(files)
        self._shards.append(parts)
        self._open, self._filled = [], 0


def _shard_key(number: int) -> str:
    return f"shard {number}"  # clips' keys hold no blank


def _shard_name(number: int) -> str:
    return f"shard-{number:06d}.tar"

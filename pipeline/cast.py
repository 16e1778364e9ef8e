"""Who is who in a clip: people that were lost and found again, and how those beside its person are called."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.crowd import Seen
from pipeline.records import Clip, Frame

_LIKENESS = 0.92
"""Correlation of the two most similar thumbnails from which on they show one person. Measured on 58 clips of 35 people:
none of 1,540 pairs of clips of two people reach it, not even in one studio; the first and second half of one clip do in
four of five. To take one person for two costs less than to take two for one."""
_AT_EITHER_END = 8
"""Thumbnails that are kept of a person's first and of his last frames: where he is lost and found again he has moved
least, and the points of a face just found take some frames to settle."""
_LOOKS = 0.5
"""Seconds between those that are kept in between."""


class Cast:
    """The people of a clip, told apart by when they are seen and what they look like."""

    def __init__(self) -> None:
        self._people: dict[int, _Person] = {}

    def see(self, frame: Frame, seen: Seen) -> None:
        """Note whom a frame shows; frames come in order."""
        self._people.setdefault(seen.person, _Person()).add(frame, seen.sight.thumbnail)

    def ranks(self, numbers: Iterable[int]) -> dict[int, int]:
        """Each of these people that a crowd followed -> his rank, 0 for the one whom most frames show.

        Somebody who was lost and found again, and so has two numbers, has one rank.
        """
        groups: list[tuple[list[int], _Person]] = []
        for number in numbers:
            person = self._people[number]
            for place, (others, known) in enumerate(groups):
                if known.is_like(person):
                    groups[place] = [*others, number], known | person
                    break
            else:
                groups.append(([number], person))
        groups.sort(key=lambda group: -len(group[1].frames))
        return {number: rank for rank, (group, _) in enumerate(groups) for number in group}


def named_by_rank(clip: Clip, rank: int) -> Clip:
    """The clip under the name of the person of that rank in it: its own for rank 0, else one with `~2`, `~3`, ...

    A stranger gets the clip's identity with such an end. Where the identity has other clips too, whose `~2` is somebody
    else, the names of video and clip stand between.
    """
    if rank == 0:
        return clip
    alone = clip.identity == clip.video
    name = clip.identity if alone else f"{clip.identity}~{clip.video}~{clip.clip}"
    return replace(clip, identity=f"{name}~{rank + 1}")


@dataclass
class _Person:
    """frames: numbers of those that show him. Thumbnails (`faces.Sight`): of his first and last, and some between."""

    frames: set[int] = field(default_factory=set)
    kept: list[NDArray[np.float32]] = field(default_factory=list)
    last: deque[NDArray[np.float32]] = field(default_factory=lambda: deque(maxlen=_AT_EITHER_END))
    _kept_until: float = -np.inf

    @property
    def thumbnails(self) -> NDArray[np.float32]:
        """(K, 576)."""
        return np.stack([*self.kept, *self.last])

    def add(self, frame: Frame, thumbnail: NDArray[np.float32]) -> None:
        self.frames.add(frame.number)
        self.last.append(thumbnail)
        if len(self.kept) < _AT_EITHER_END or frame.time >= self._kept_until:
            self.kept.append(thumbnail)
            self._kept_until = frame.time + _LOOKS

    def is_like(self, other: _Person) -> bool:
        """Whether both can be and seem to be one person, who is not twice in one picture."""
        seem = bool((self.thumbnails @ other.thumbnails.T).max() >= _LIKENESS)
        return seem and self.frames.isdisjoint(other.frames)

    def __or__(self, other: _Person) -> _Person:
        return _Person(self.frames | other.frames, [*self.thumbnails, *other.thumbnails])

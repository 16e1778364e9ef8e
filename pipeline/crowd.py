"""Several people's faces, followed through pictures that follow one another."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.closing import Closing
from pipeline.faces import FaceFollower, Sight
from pipeline.landmarker import Face

_SEARCHES = 0.2
"""Seconds between searches for one more person while others are followed."""


class Seen(NamedTuple):
    """A face in one picture. person: who is followed, counted over the life of the crowd."""

    person: int
    sight: Sight


class Crowd(Closing):
    """Up to `most` people's faces, picture after picture, nobody twice.

    Each has a `FaceFollower` with this patience; the first takes the largest face, the next the largest that is left.
    """

    def __init__(self, patience: float, most: int) -> None:
        self._patience, self._most = patience, most
        self._numbers = count()
        self._followers: list[FaceFollower] = []
        self.forget()

    def forget(self) -> None:
        """The next picture does not follow the last one."""
        self._searched = -np.inf
        for follower in self._followers:
            follower.forget()

    @property
    def turned(self) -> bool:
        """Whether the last picture shows a face when it is turned, but none upright."""
        return any(follower.turned for follower in self._followers)

    def __call__(
        self,
        image: NDArray[np.uint8],
        time: float,
        *,
        new_shot: bool = False,
        wanted: Callable[[Face], bool] = lambda _: True,
    ) -> list[Seen]:
        """The faces in the next (H, W, 3) picture.

        time, new_shot: see `FaceFollower`. wanted: anybody else is left alone.
        """
        seen: list[Seen] = []

        def look(follower: FaceFollower) -> bool:
            sight = follower(image, time, new_shot=new_shot, others=[other.sight.face for other in seen])
            if sight is None:
                return False
            if not wanted(sight.face):
                follower.forget()
                return False
            seen.append(Seen(follower.person, sight))
            return True

        busy = [follower for follower in self._followers if follower.follows]
        for follower in busy:
            look(follower)
        if not busy or time - self._searched >= _SEARCHES:
            self._searched = time
            while (idle := self._idle()) and look(idle):
                pass
        return seen

    def _idle(self) -> FaceFollower | None:
        """One that follows nobody; None where everybody that there may be is busy."""
        for follower in self._followers:
            if not follower.follows:
                return follower
        if len(self._followers) == self._most:
            return None
        self._followers.append(FaceFollower(self._patience, self._numbers))
        return self._followers[-1]

    def close(self) -> None:
        for follower in self._followers:
            follower.close()

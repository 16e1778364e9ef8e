"""Which two frames are trained on when: a pure function of seed and position, the same for any number of workers."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.draws import Purpose, below, random_words, shuffled
from pipeline.errors import PipelineError
from pipeline.track_index import Column, TrackIndex


class Pair(NamedTuple):
    """Two frames of one track.

    number: position in the sequence of all pairs. track: row of the manifest. source, driving: frames of it, from 0.
    """

    number: int
    track: int
    source: int
    driving: int


class PairBatch(NamedTuple):
    """B pairs as a rank trains on them in one step.

    pairs: which, in order; their numbers follow one another.
    source, driving: (B, 3, S, S) RGB, channels last in memory; uint8 from a loader, float32 in 0..1 once augmented.
    source_vertices, driving_vertices: (B, V, 3) float32, NDC of those pictures; z in pixels of the stored picture.
    """

    step: int
    pairs: list[Pair]
    source: Tensor
    driving: Tensor
    source_vertices: Tensor
    driving_vertices: Tensor

    def to(self, device: torch.device | str) -> PairBatch:
        """The same on a device; from pinned memory without waiting for it."""
        return self._replace(
            **{name: value.to(device, non_blocking=True) for name, value in self._asdict().items() if name in _TENSORS}
        )


_TENSORS = {"source", "driving", "source_vertices", "driving_vertices"}


def rows_to_draw(index: TrackIndex, split: str) -> NDArray[np.int64]:
    """The rows of a split whose tracks have two frames or more.

    Raises PipelineError if there are none, or a person is both in this split and in another.
    """
    _refuse_shared_people(index, split)
    rows = np.flatnonzero((index.frames >= 2) & _is_in(index.split, split))
    if not len(rows):
        raise PipelineError(f"{index.path}: no track of two frames or more in the split {split}")
    return rows


class PairSampler:
    """Pairs by number, from the tracks of one split.

    In each epoch every person comes up once, in an order of that epoch. Then each of the person's clips is as likely
    as the others, each track of the clip, each two different frames of the track, in either order. Tracks of fewer
    than two frames are left out, and with them people who have no other.
    Source of the epoch: GDPW (BMVC 2022), parity README section 15.
    """

    def __init__(self, index: TrackIndex, seed: int, split: str = "train") -> None:
        """Raises PipelineError as `rows_to_draw` does."""
        rows = rows_to_draw(index, split)
        self.seed = seed
        self._frames = index.frames
        clip, video, person = (column.codes[rows] for column in (index.clip, index.video, index.identity))
        order = np.lexsort((rows, clip, video, person))
        self._rows = rows[order]
        clip, video, person = clip[order], video[order], person[order]
        new_person = _changes(person)
        new_clip = new_person | _changes(video) | _changes(clip)
        self._clips = np.append(np.flatnonzero(new_clip), len(rows))  # where each begins in the rows, and the end
        self._people = np.append(np.flatnonzero(new_person[self._clips[:-1]]), len(self._clips) - 1)  # likewise

    @property
    def people(self) -> int:
        """How many there are, which is the number of pairs in an epoch."""
        return len(self._people) - 1

    def draw(self, first: int, count: int) -> list[Pair]:
        """Pairs number first to first + count - 1."""
        numbers = np.arange(first, first + count)
        words = random_words(self.seed, Purpose.PAIRS, first, count)
        clip = _pick(self._people, self._people_at(numbers), words[:, 0])
        row = self._rows[_pick(self._clips, clip, words[:, 1])]
        source = below(words[:, 2], self._frames[row])
        driving = below(words[:, 3], self._frames[row] - 1)
        driving += driving >= source
        return [Pair(*pair) for pair in np.stack([numbers, row, source, driving], axis=1).tolist()]

    def draw_step(self, step: int, batch_size: int, rank: int = 0, world: int = 1) -> list[Pair]:
        """A rank's slice of the pairs of a step. batch_size: of all ranks together, which `world` divides."""
        share = batch_size // world
        return self.draw(step * batch_size + rank * share, share)

    def _people_at(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        epochs, places = np.divmod(numbers, self.people)
        drawn = np.empty_like(numbers)
        for epoch in np.unique(epochs).tolist():
            here = epochs == epoch
            drawn[here] = _people_of_epoch(self.seed, epoch, self.people)[places[here]]
        return drawn


@lru_cache(maxsize=4)
def _people_of_epoch(seed: int, epoch: int, people: int) -> NDArray[np.int64]:
    return shuffled(seed, Purpose.PEOPLE, epoch, people)


def _pick(bounds: NDArray[np.int64], groups: NDArray[np.int64], words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """One member of each group, where group g has the members bounds[g] to bounds[g + 1] - 1."""
    return bounds[groups] + below(words, bounds[groups + 1] - bounds[groups])


def _changes(codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    return np.append(True, codes[1:] != codes[:-1])


def _is_in(column: Column, split: str) -> NDArray[np.bool_]:
    names = column.names.to_pylist()
    return column.codes == (names.index(split) if split in names else -1)


def _refuse_shared_people(index: TrackIndex, split: str) -> None:
    inside = _is_in(index.split, split)
    shared = np.intersect1d(index.identity.codes[inside], index.identity.codes[~inside])
    if len(shared):
        name = index.identity.names[int(shared[0])].as_py()
        raise PipelineError(
            f"{index.path}: {len(shared)} people, the first of them {name}, are in the split {split} and in another; "
            "run split on the dataset"
        )

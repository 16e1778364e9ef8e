"""Batches of pairs out of shards that are read from end to end, for stores where small reads are slow.

The shards are read as plain WebDataset. Where single frames can be read, `pipeline.loader` is the better choice: it
is fair to people and begins anywhere, while here every track is as likely as any other, whoever it shows.
"""

from __future__ import annotations

import tarfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, cycle, groupby, islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import webdataset
from webdataset.tariterators import group_by_keys, tar_file_expander

from pipeline.dataset import Dataset, refuse_mix
from pipeline.draws import Purpose, shuffled
from pipeline.errors import PipelineError
from pipeline.frames import StoredFrame, stored_frame
from pipeline.loader import LoaderConfig, decode_batch, read_ahead
from pipeline.pairs import Pair, PairBatch, rows_to_draw
from pipeline.track_index import read_track_index


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """How shards become pairs; all of it decides which pairs there are.

    steps_per_epoch: batches until the shards are shuffled anew. pairs_per_track: drawn whenever a track passes.
    shuffle: pairs that are held back and leave in random order. streams: shards a rank reads side by side, the pairs
    of whose tracks take turns.
    """

    steps_per_epoch: int = 1_000
    pairs_per_track: int = 4
    shuffle: int = 256
    streams: int = 2

    def __post_init__(self) -> None:
        for name in ("steps_per_epoch", "pairs_per_track", "shuffle", "streams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")


class StreamedPair(NamedTuple):
    """A pair as it passes, its pictures still encoded. track, source, driving: as in `Pair`."""

    track: int
    source: int
    driving: int
    frames: tuple[StoredFrame, StoredFrame]


class PairStream:
    """A rank's batches, in the order of the steps, as `PairLoader` gives them.

    Seed, rank, world and `StreamConfig` decide what a batch holds; workers and prefetch only when it is ready. An
    epoch has a fixed number of steps, whatever the shards hold: a stream begins again with its shards when it is
    through, so no rank runs dry before another.
    """

    def __init__(
        self, dataset: Dataset, config: LoaderConfig, stream: StreamConfig, rank: int = 0, world: int = 1
    ) -> None:
        """Raises ValueError if the ranks cannot share a batch evenly, PipelineError if there is nothing to draw, or
        there are fewer shards than streams."""
        if config.batch_size % world:
            raise ValueError(f"{world} ranks cannot share a batch of {config.batch_size} evenly")
        dataset.require("vertices")
        self.dataset, self.config, self.stream, self.rank, self.world = dataset, config, stream, rank, world
        self._share = config.batch_size // world
        index = read_track_index(dataset.folder)
        self._frames = index.frames
        self._tracks: dict[str, dict[str, int]] = {}  # shard -> prefix of the keys -> row of the manifest
        for row in rows_to_draw(index, config.split).tolist():
            self._tracks.setdefault(index.shard[row], {})[index.prefix(row)] = row
        if len(self._tracks) < world * stream.streams:
            raise PipelineError(
                f"{dataset.folder}: {len(self._tracks)} shards with tracks of the split {config.split} cannot feed "
                f"{world} times {stream.streams} streams; take fewer streams, or smaller shards"
            )

    def iterate(self, start_step: int = 0) -> Iterator[PairBatch]:
        """Batches from that step on, without end. Closing it ends its threads.

        A start within an epoch reads again what its steps before had read, without decoding it.
        Raises PipelineError, naming the shard, where it cannot be read.
        """
        with closing(self._batches(start_step)) as batches:
            yield from read_ahead(self.config, batches)

    def _batches(self, start_step: int) -> Generator[Callable[[], PairBatch], None, None]:
        first, done = divmod(start_step, self.stream.steps_per_epoch)
        for epoch in count(first):
            with ExitStack() as threads:
                pairs = self._shuffled_pairs(epoch, threads)
                for _ in islice(pairs, done * self._share):
                    pass
                for place in range(done, self.stream.steps_per_epoch):
                    step = epoch * self.stream.steps_per_epoch + place
                    yield partial(self._decode, step, list(islice(pairs, self._share)))
            done = 0

    def _decode(self, step: int, streamed: list[StreamedPair]) -> PairBatch:
        first = step * self.config.batch_size + self.rank * self._share
        pairs = [Pair(first + place, *pair[:3]) for place, pair in enumerate(streamed)]
        frames = [pair.frames for pair in streamed]
        return decode_batch(step, pairs, frames, len(frames[0][0].vertices), self.config)

    def _shuffled_pairs(self, epoch: int, threads: ExitStack) -> Iterator[StreamedPair]:
        held, rng = self.stream.shuffle, Random(f"{self.config.seed}/{epoch}/{self.rank}")
        return webdataset.shuffle(held, initial=held // 4, rng=rng)(self._pairs(epoch, threads))

    def _pairs(self, epoch: int, threads: ExitStack) -> Iterator[StreamedPair]:
        """The pairs of the streams' tracks, a track of each in turn. A thread a stream reads two tracks ahead."""
        order = shuffled(self.config.seed, Purpose.SHARDS, epoch, len(self._tracks))
        shards = [list(self._tracks)[place] for place in order]
        lanes = self.world * self.stream.streams
        streams = []
        for lane in range(self.rank * self.stream.streams, (self.rank + 1) * self.stream.streams):
            rng = np.random.default_rng([self.config.seed, epoch, lane])
            pool = ThreadPoolExecutor(1, thread_name_prefix="stream")
            threads.callback(pool.shutdown, cancel_futures=True)
            read = partial(next, self._tracks_of(shards[lane::lanes], rng))
            streams.append((pool, read, deque(pool.submit(read) for _ in range(2))))
        for pool, read, tracks in cycle(streams):
            pairs = tracks.popleft().result()
            tracks.append(pool.submit(read))
            yield from pairs

    def _tracks_of(self, shards: list[str], rng: np.random.Generator) -> Iterator[list[StreamedPair]]:
        """The pairs of each track, of all the shards again and again."""
        for name in cycle(shards):
            path, missing = self.dataset.folder / name, dict(self._tracks[name])
            for prefix, samples in groupby(_read_members(path), _prefix):
                if prefix in missing:
                    yield self._draw(path, missing.pop(prefix), samples, rng)
            if missing:
                raise PipelineError(f"{path}: lacks the track {next(iter(missing))}, which the manifest has in it")

    def _draw(
        self, path: Path, row: int, samples: Iterator[Mapping[str, Any]], rng: np.random.Generator
    ) -> list[StreamedPair]:
        length = int(self._frames[row])
        drawn = [rng.choice(length, 2, replace=False).tolist() for _ in range(self.stream.pairs_per_track)]
        wanted = set(chain(*drawn))
        frames = {}
        for number, sample in enumerate(samples):
            if number in wanted:
                frames[number] = self._stored(path, sample)
        try:
            return [StreamedPair(row, one, other, (frames[one], frames[other])) for one, other in drawn]
        except KeyError as error:
            raise PipelineError(f"{path}: has no frame {error} of a track of {length}; run preprocess again") from error

    def _stored(self, path: Path, sample: Mapping[str, Any]) -> StoredFrame:
        try:
            frame = stored_frame(str(path), sample["__key__"], sample)
        except (ValueError, KeyError) as error:
            raise PipelineError(f"{path}: no usable sample {sample['__key__']} ({error})") from error
        refuse_mix(path, frame.face_model, self.dataset.face_model)
        return frame


def _prefix(sample: Mapping[str, Any]) -> str:
    """What the keys of the sample's track begin with."""
    return sample["__key__"].rpartition("/")[0] + "/"


def _read_members(path: Path) -> Iterator[Mapping[str, Any]]:
    """The samples of a shard, encoded."""
    try:
        with path.open("rb") as file:
            yield from group_by_keys(tar_file_expander([{"url": str(path), "stream": file}]))
    except (OSError, tarfile.TarError) as error:
        raise PipelineError(f"{path}: not a readable shard ({error})") from error

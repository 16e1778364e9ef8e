"""Batches of pairs out of a dataset, read frame by frame ahead of the training."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count

import torch
from torch import Tensor

from pipeline.dataset import Dataset, refuse_mix
from pipeline.frames import StoredFrame, read_frame
from pipeline.pairs import Pair, PairBatch, PairSampler
from pipeline.track_index import read_track_index


@dataclass(frozen=True, kw_only=True)
class LoaderConfig:
    """What is drawn, and how it is read.

    batch_size: pairs a step, of all ranks together. size: side of the pictures in pixels, to which stored ones are
    resized. workers: threads that read and decode. prefetch: batches that are ready or under way beyond theirs.
    pin_memory: batches lie in page-locked memory, for an NVIDIA GPU.
    """

    batch_size: int = 16
    size: int = 256
    seed: int = 0
    split: str = "train"
    workers: int = 2
    prefetch: int = 2
    pin_memory: bool = False

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("size", 1), ("seed", 0), ("workers", 1), ("prefetch", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, got {getattr(self, name)}")


class PairLoader:
    """A rank's batches, in the order of the steps.

    Seed, step, rank and world decide what a batch holds; workers and prefetch only when it is ready. The workers are
    threads: nearly all of their time goes to reading and to JPEG, where Python lets others run, and they decode into
    the very memory that goes to the device.
    """

    def __init__(self, dataset: Dataset, config: LoaderConfig, rank: int = 0, world: int = 1) -> None:
        """Raises ValueError if the ranks cannot share a batch evenly, PipelineError if nothing can be drawn or read."""
        if config.batch_size % world:
            raise ValueError(f"{world} ranks cannot share a batch of {config.batch_size} evenly")
        dataset.require("vertices")
        self.config, self.rank, self.world = config, rank, world
        self.face_model = dataset.face_model
        self.index = read_track_index(dataset.folder)
        self.sampler = PairSampler(self.index, config.seed, config.split)
        self._shards = [dataset.folder / name for name in self.index.shard.names.to_pylist()]
        (first,) = self.sampler.draw(0, 1)
        self._vertices = len(self._read_frame(first.track, first.source).vertices)

    def iterate(self, start_step: int = 0) -> Iterator[PairBatch]:
        """Batches from that step on, without end; a start anywhere costs the same. Closing it ends its threads.

        Raises PipelineError, naming shard and track, where a sample cannot be read.
        """
        return read_ahead(self.config, (partial(self.read, step) for step in count(start_step)))

    def read(self, step: int) -> PairBatch:
        """The rank's batch of one step. Raises as `iterate` does."""
        pairs = self.sampler.draw_step(step, self.config.batch_size, self.rank, self.world)
        frames = ([self._read_frame(pair.track, frame) for frame in (pair.source, pair.driving)] for pair in pairs)
        return decode_batch(step, pairs, frames, self._vertices, self.config)

    def _read_frame(self, row: int, frame: int) -> StoredFrame:
        shard = self._shards[self.index.shard.codes[row]]
        stored = read_frame(shard, *self.index.byte_range(row, frame), self.index.prefix(row))
        refuse_mix(shard, stored.face_model, self.face_model)
        return stored


def read_ahead(config: LoaderConfig, batches: Iterator[Callable[[], PairBatch]]) -> Iterator[PairBatch]:
    """Make an endless row of batches in the workers' threads, and hand them on in order. Closing it ends the threads.

    Another thread asks for what is to be made, so that nobody waits but for the batch that is due.
    """
    pool = ThreadPoolExecutor(config.workers, thread_name_prefix="pairs")
    asking = ThreadPoolExecutor(1, thread_name_prefix="pairs-ahead")

    def ask() -> Future[Future[PairBatch]]:
        return asking.submit(lambda: pool.submit(next(batches)))

    try:
        ahead = deque(ask() for _ in range(config.workers + config.prefetch))
        while True:
            batch = ahead.popleft().result().result()
            ahead.append(ask())
            yield batch
    finally:
        asking.shutdown(cancel_futures=True)
        pool.shutdown(cancel_futures=True)


def decode_batch(
    step: int, pairs: list[Pair], frames: Iterable[Sequence[StoredFrame]], vertices: int, config: LoaderConfig
) -> PairBatch:
    """The batch of a step. frames: source and driving of each pair. vertices: how many a mesh has.

    Frames are decoded as they come, so that one memory serves them all where they are read one by one.
    Raises PipelineError, naming shard and key, for a frame that does not fit in or cannot be decoded.
    """
    pictures = _empty((2, len(pairs), config.size, config.size, 3), torch.uint8, config)
    meshes = _empty((2, len(pairs), vertices, 3), torch.float32, config)
    picture_rows, mesh_rows = pictures.numpy(), meshes.numpy()
    for place, pair in enumerate(frames):
        for side, frame in enumerate(pair):
            frame.decode_into(picture_rows[side, place], mesh_rows[side, place])
    return PairBatch(step, pairs, *pictures.permute(0, 1, 4, 2, 3), *meshes)


def _empty(shape: tuple[int, ...], dtype: torch.dtype, config: LoaderConfig) -> Tensor:
    return torch.empty(shape, dtype=dtype, pin_memory=config.pin_memory)

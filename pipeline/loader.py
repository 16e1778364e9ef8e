"""Batches of pairs out of a dataset, read frame by frame ahead of the training."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice

import torch
from torch import Tensor

from pipeline.dataset import Dataset, refuse_mix
from pipeline.errors import PipelineError
from pipeline.frames import StoredFrame, parse_frame, read_range
from pipeline.pairs import PairBatch, PairSampler
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
        self.config, self.rank, self.world = config, rank, world
        self.face_model = dataset.face_model
        self.index = read_track_index(dataset.folder)
        self.sampler = PairSampler(self.index, config.seed, config.split)
        self._shards = [dataset.folder / name for name in self.index.shard.names.to_pylist()]
        (first,) = self.sampler.draw(0, 1)
        self._vertices = len(self._read_frame(first.track, first.source).vertices)

    def iterate(self, start_step: int = 0) -> Iterator[PairBatch]:
        """Batches from that step on, without end; a start anywhere costs the same. Closing it ends its threads.

        Raises PipelineError, naming shard and key, where a sample cannot be read.
        """
        steps = count(start_step)
        with ThreadPoolExecutor(self.config.workers, thread_name_prefix="pairs") as pool:
            ahead = islice(steps, self.config.workers + self.config.prefetch)
            batches = deque(pool.submit(self.read, step) for step in ahead)
            try:
                for step in steps:
                    batch = batches.popleft().result()
                    batches.append(pool.submit(self.read, step))
                    yield batch
            finally:
                for waiting in batches:
                    waiting.cancel()

    def read(self, step: int) -> PairBatch:
        """The rank's batch of one step. Raises as `iterate` does."""
        pairs = self.sampler.draw_step(step, self.config.batch_size, self.rank, self.world)
        share, size = len(pairs), self.config.size
        picture_memory = self._empty((2, share, size, size, 3), torch.uint8)
        vertex_memory = self._empty((2, share, self._vertices, 3), torch.float32)
        pictures, vertices = picture_memory.numpy(), vertex_memory.numpy()
        for place, pair in enumerate(pairs):
            for side, frame in enumerate((pair.source, pair.driving)):
                stored = self._read_frame(pair.track, frame)
                with self._naming(pair.track, frame):
                    stored.decode_into(pictures[side, place], vertices[side, place])
        return PairBatch(step, pairs, *picture_memory.permute(0, 1, 4, 2, 3), *vertex_memory)

    def _read_frame(self, row: int, frame: int) -> StoredFrame:
        with self._naming(row, frame):
            shard = self._shards[self.index.shard.codes[row]]
            stored = parse_frame(read_range(shard, *self.index.byte_range(row, frame)))
            if not stored.key.startswith(self.index.prefix(row)):
                raise ValueError(f"{stored.key} lies there: the manifest is of another shard")
        refuse_mix(shard, stored.face_model, self.face_model)
        return stored

    @contextmanager
    def _naming(self, row: int, frame: int) -> Iterator[None]:
        """Faults of a sample say which it is."""
        try:
            yield
        except (OSError, ValueError, KeyError) as error:
            shard = self._shards[self.index.shard.codes[row]]
            start, stop = self.index.byte_range(row, frame)
            place = f"frame {frame} of {self.index.prefix(row)}, bytes {start} to {stop}"
            raise PipelineError(f"{shard}: no usable sample for {place} ({error}); run preprocess again") from error

    def _empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, pin_memory=self.config.pin_memory)

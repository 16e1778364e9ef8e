"""Pairs a second a core: ours out of shards, and the original's way out of loose files, on the same frames.

    python benchmarks/loader.py DATASET [--original CHECKOUT] [--size 256] [--pairs 512]
    python benchmarks/loader.py DATASET --workers 1 2 4 8 16 [--demand 300]
    python benchmarks/loader.py --manifest [--clips 1100000] [--people 6000] [--frames 195]

DATASET: made by preprocess, with pictures of 256x256 pixels.

The first form keeps the process to one core and counts the processor's time spent there, so that other work on the
machine hardly shows; the best of five runs counts, everything being in the page cache. The floor is two JPEGs decoded.
The original's way is written out here from the format of its folders (parity README, section 15): a clip's folder is
listed, two of its pictures are read with OpenCV, their meshes are unpacked with LZ4, flipped half the time, normalised,
and collated by a DataLoader without workers. `--original` runs the checkout's own code instead. Its meshes are padded
to FLAME's 5,023 vertices, for its table of mirror images has that many.

The second form runs threads on all cores: pairs a second of wall time, and, with a training that takes `--demand` pairs
a second, the share of its time that it waits for them.

The third makes up the manifest of a dataset of the size of VoxCeleb 2, and measures what opening it takes.
"""

from __future__ import annotations

import argparse
import glob
import os
import random
import resource
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

import cv2
import lz4.frame
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
import torch
from torch.utils.data import DataLoader, IterableDataset

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.dataset import Dataset, open_dataset
from pipeline.frames import StoredFrame, read_frame
from pipeline.gdpw_folder import PICTURE_SUFFIX, VERTICES_SUFFIX, write_vertices
from pipeline.ledger import MANIFEST
from pipeline.loader import LoaderConfig, PairLoader
from pipeline.pairs import PairSampler
from pipeline.track_index import TrackIndex, read_track_index

BATCH = 16
FLAME_VERTICES = 5023


def one_core(dataset: Dataset, original: Path | None, size: int, pairs: int) -> Iterator[tuple[str, float]]:
    """What is measured, and milliseconds of one core a pair."""
    jpegs = [frame.jpeg for frame in frames_anywhere(dataset, 2 * pairs)]
    decoded = (simplejpeg.decode_jpeg(jpeg, colorspace="RGB") for jpeg in cycle(jpegs))
    yield "floor: two JPEGs decoded", best(decoded, 2 * pairs, pairs)
    loader = PairLoader(dataset, LoaderConfig(batch_size=BATCH, size=size))
    yield "ours", best(map(loader.read, count()), pairs // BATCH, pairs)
    with tempfile.TemporaryDirectory() as folder:
        export(dataset, Path(folder))
        yield "the original's way", best(iter(DataLoader(LooseFiles(folder), BATCH)), pairs // BATCH, pairs)
        if original:
            theirs = original_dataset(original, folder)
            yield "the original's code", best(iter(DataLoader(theirs, BATCH)), pairs // BATCH, pairs)


def best(endless: Iterator[Any], items: int, pairs: int, repeats: int = 5) -> float:
    """Milliseconds a pair, where so many items are so many pairs; after one run unmeasured."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        use_up(endless, items)
        times.append(time.process_time() - start)
    return min(times[1:]) / pairs * 1000


def use_up(endless: Iterator[Any], items: int) -> None:
    """Take items and let each go at once, as a training does."""
    for _ in islice(endless, items):
        pass


def frames_anywhere(dataset: Dataset, count: int) -> Iterator[StoredFrame]:
    index, chance = read_track_index(dataset.folder), random.Random(0)
    for row in chance.choices(range(len(index)), k=count):
        yield stored_frame(dataset, index, row, chance.randrange(index.frames[row]))


def stored_frame(dataset: Dataset, index: TrackIndex, row: int, frame: int) -> StoredFrame:
    return read_frame(dataset.folder / index.shard[row], *index.byte_range(row, frame), index.prefix(row))


def export(dataset: Dataset, folder: Path) -> None:
    """The dataset's frames as the original's training folders, the pictures byte for byte."""
    index = read_track_index(dataset.folder)
    for row in range(len(index)):
        clip = folder / f"person{index.identity.codes[row]}" / "video" / f"clip{row}"
        for frame in range(index.frames[row]):
            stored = stored_frame(dataset, index, row, frame)
            mesh = np.resize(stored.vertices / np.float32(stored.scale), (FLAME_VERTICES, 3))
            write_vertices(clip / f"{frame:06d}{VERTICES_SUFFIX}", mesh)
            (clip / f"{frame:06d}{PICTURE_SUFFIX}").write_bytes(stored.jpeg)


class LooseFiles(IterableDataset):
    """The access pattern of the original: a random clip of each person in turn, its folder listed anew each time."""

    def __init__(self, root: str) -> None:
        self.people = [glob.glob(f"{person}/*/*") for person in glob.glob(f"{root}/*")]
        self.mirror = np.arange(FLAME_VERTICES)[::-1]

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        while True:
            for clips in random.sample(self.people, len(self.people)):
                pictures = glob.glob(f"{random.choice(clips)}/*{PICTURE_SUFFIX}")
                flip = random.random() < 0.5
                pair = [self.read(picture, flip) for picture in random.sample(pictures, 2)]
                yield {"img": np.array([image for image, _ in pair]), "verts": np.array([mesh for _, mesh in pair])}

    def read(self, picture: str, flip: bool) -> tuple[np.ndarray, np.ndarray]:
        image = cv2.cvtColor(cv2.imread(picture), cv2.COLOR_BGR2RGB)
        packed = Path(picture.replace(PICTURE_SUFFIX, VERTICES_SUFFIX)).read_bytes()
        mesh = np.frombuffer(lz4.frame.decompress(packed), np.float32, offset=16).reshape(-1, 3).astype(np.float32)
        if flip:
            image, mesh = cv2.flip(image, 1), mesh[self.mirror]
            mesh[:, 0] = image.shape[1] - mesh[:, 0]
        mesh[:, :2] = 2 * mesh[:, :2] / np.array(image.shape[1::-1], np.float32) - 1
        return image, mesh


def original_dataset(checkout: Path, root: str) -> IterableDataset:
    """The checkout's own loader, with a stand-in for what it takes from tensorpack."""

    class DataFlow:
        def reset_state(self) -> None:
            pass

    class MapData(DataFlow):
        def __init__(self, flow: Any, function: Callable[[Any], Any]) -> None:
            self.flow, self.function = flow, function

        def __iter__(self) -> Iterator[Any]:
            return map(self.function, self.flow)

    for name in ("tensorpack", "tensorpack.dataflow", "tensorpack.dataflow.base"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["tensorpack.dataflow.base"].DataFlow = DataFlow  # type: ignore[attr-defined]
    sys.modules["tensorpack"].dataflow = types.SimpleNamespace(MapData=MapData)  # type: ignore[attr-defined]
    os.chdir(checkout)  # its table of mirror images is found from there
    sys.path.insert(0, str(checkout))
    from Data.train_data import Dataset as OriginalDataset

    return OriginalDataset(root, (256, 256))


def many_workers(dataset: Dataset, workers: int, size: int, pairs: int, demand: float) -> tuple[float, float]:
    """Pairs a second of wall time, and the share of its time that a training of that demand waits."""
    config = LoaderConfig(batch_size=BATCH, size=size, workers=workers, pin_memory=torch.cuda.is_available())
    batches = PairLoader(dataset, config).iterate()
    next(batches)
    start = time.perf_counter()
    use_up(batches, pairs // BATCH)
    rate = pairs / (time.perf_counter() - start)
    waited, start = 0.0, time.perf_counter()
    for _ in range(pairs // BATCH):
        asked = time.perf_counter()
        next(batches)
        waited += time.perf_counter() - asked
        time.sleep(BATCH / demand)
    return rate, waited / (time.perf_counter() - start)


def big_manifest(clips: int, people: int, frames: int) -> Iterator[tuple[str, str]]:
    """What opening a manifest of that size takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_big_manifest(folder / MANIFEST, clips, people, frames)
        yield "manifest", f"{(folder / MANIFEST).stat().st_size / 1e6:,.0f} MB, {clips * frames:,} frames"
        before, start = peak(), time.process_time()
        index = read_track_index(folder)
        yield "read", f"{time.process_time() - start:.1f} s of processor time"
        yield (
            "kept",
            f"{index.blocks.nbytes / 1e6:,.0f} MB of offsets; peak of the process {peak() - before:,.0f} MB more",
        )
    start = time.process_time()
    sampler = PairSampler(index, seed=0)
    yield "sampler", f"{time.process_time() - start:.2f} s, {sampler.people:,} people"
    for first in (0, 10**9):
        sampler.draw(first, BATCH)
        start = time.process_time()
        for step in range(1000):
            sampler.draw(first + BATCH * step, BATCH)
        yield f"draws from {first:,}", f"{(time.process_time() - start) / BATCH * 1000:.1f} us a pair"


def write_big_manifest(path: Path, clips: int, people: int, frames: int) -> None:
    """Clips of equal length in shards of 100, written a piece at a time."""
    rng = np.random.default_rng(0)
    piece = 10_000
    writer = None
    for first in range(0, clips, piece):
        rows = np.arange(first, min(first + piece, clips))
        sizes = rng.integers(60, 120, (len(rows), frames + 1))
        ends = np.cumsum(sizes, axis=1)
        person = rng.integers(0, people, len(rows))
        table = pa.table(
            {
                "identity": [f"id{number:05d}" for number in person],
                "video": [f"video{number // 8:08d}" for number in rows],
                "clip": [f"{number % 8:05d}" for number in rows],
                "track": np.zeros(len(rows), np.int32),
                "frames": np.full(len(rows), frames),
                "shard": [f"shard-{number // 100:06d}.tar" for number in rows],
                "split": np.where(person % 20 == 0, "val", "train"),
                "offsets": pa.ListArray.from_arrays(np.arange(len(rows) + 1) * (frames + 1), 512 * ends.ravel()),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def peak() -> float:
    """MB that the process had at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--original", type=Path, metavar="CHECKOUT")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=512)
    parser.add_argument("--workers", type=int, nargs="+")
    parser.add_argument("--demand", type=float, default=300)
    parser.add_argument("--manifest", action="store_true")
    parser.add_argument("--clips", type=int, default=1_100_000)
    parser.add_argument("--people", type=int, default=6_000)
    parser.add_argument("--frames", type=int, default=195)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if options.manifest:
        for name, value in big_manifest(options.clips, options.people, options.frames):
            print(f"{name:26} {value}")
        return
    dataset = open_dataset(options.dataset.absolute())
    if options.workers:
        for workers in options.workers:
            rate, waiting = many_workers(dataset, workers, options.size, options.pairs, options.demand)
            print(f"{workers:3} workers {rate:8.0f} pairs/s; waits {waiting:6.1%} at {options.demand:g} pairs/s")
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name, milliseconds in one_core(dataset, options.original, options.size, options.pairs):
        print(f"{name:26} {milliseconds:7.3f} ms {1000 / milliseconds:8.0f} pairs/s a core")


if __name__ == "__main__":
    main()

"""A dataset of the size of VoxCeleb2 without its pictures: what the driver of `preprocess` needs for it.

    python benchmarks/million.py [--clips 1100000] [--identities 6000] [--frames-per-clip 200] [--scratch FOLDER]

Goes through what the driver goes through, each part in a process of its own that has loaded what the driver loads. The
listing of a tree in VoxCeleb2's layout is made up (`--tree` makes the tree, of empty files), and so are the results of
the stages, a track a clip; the shards' own bytes are left out; all else is the real code. `run` keeps results one after
the other (of `--added` clips; the others' are written as such a run leaves them, and then the shards are noted);
`resume` is what a run does that finds all of it done, up to the report; `status` and `pairs` are what others do with
it. Prints seconds of wall and processor time and the most memory so far.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import jobs.preprocess  # noqa: F401, what the driver loads
import pipeline.assembly
import pipeline.media
from pipeline.assembly import Assembly
from pipeline.errors import InputError, Reason
from pipeline.ledger import LEDGER, MANIFEST, Status, read_ledger, write_ledger, write_manifest
from pipeline.packs import Packs
from pipeline.pairs import PairSampler
from pipeline.parts import PARTS, TrackPart
from pipeline.pieces import PACKED, Pieces, file_name
from pipeline.plan import ClipResult, Plan, key_of
from pipeline.progress import read_progress
from pipeline.records import Clip
from pipeline.sources import Scan, scan
from pipeline.storage import Folder
from pipeline.track_index import read_track_index

SHARD_BYTES = 1_000_000_000
VIDEO_CLIPS = 7


@dataclass(frozen=True)
class Size:
    clips: int
    identities: int
    frames: int
    added: int


@contextmanager
def measured(what: str) -> Iterator[None]:
    wall, processor = time.perf_counter(), time.process_time()
    yield
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"  {what:44} {wall:7.1f} s  {processor:7.1f} s of processor  {most:6.2f} GB at most", flush=True)


def listing(root: str, size: Size) -> Iterator[Folder]:
    """The folders of `dev/mp4/<person>/<video>/<utterance>.mp4`."""
    for number in range(-(-size.clips // VIDEO_CLIPS)):
        folder = f"{root}/dev/mp4/id{number % size.identities:05d}/video{number:06d}"
        clips = min(VIDEO_CLIPS, size.clips - number * VIDEO_CLIPS)
        yield Folder(folder, [], [f"{clip:05d}.mp4" for clip in range(clips)])


def make_tree(root: Path, size: Size) -> None:
    for folder, _, files in listing(str(root), size):
        Path(folder).mkdir(parents=True)
        for name in files:
            Path(folder, name).touch()


def scanned(root: Path, size: Size) -> Scan:
    if not any(root.iterdir()):
        pipeline.media.walk = lambda root: listing(root, size)
    return scan(root)


class Results:
    """What the stages would make of clips, of which every twentieth shows no face. They differ in their names alone."""

    def __init__(self, size: Size) -> None:
        offsets = 512 * np.cumsum(np.random.default_rng(0).integers(80, 120, size.frames))
        self._row = {
            "track": 0,
            "frames": size.frames,
            "shard": "",
            "error_median_px": 0.5472319,
            "error_p95_px": 1.3718204,
            "jitter_px": 0.4127733,
            "numbers": list(range(size.frames)),
            "offsets": [0, *offsets.tolist()],
        }
        self._count = 0

    def __call__(self, key: str, clip: Clip) -> tuple[ClipResult, list[TrackPart]]:
        self._count += 1
        if self._count % 20 == 0:
            fault = InputError(Reason.NO_FACE, f"{clip.path}: no face in {self._row['frames']} frames")
            return ClipResult.of(clip, fault, tracks=0, frames=0, seconds=4.62719, tracking=4.62719), []
        names = {"identity": clip.identity, "video": clip.video, "clip": clip.clip, "split": "train"}
        part = TrackPart(file_name(f"{key} 0", ".tar"), {**names, **self._row})
        frames = self._row["frames"]
        return ClipResult.of(clip, None, tracks=1, frames=frames, seconds=4.62719, tracking=3.2142), [part]

    def pieces(self, clips: list[Clip]) -> dict[str, bytes]:
        """The same as files of their own hold it, by key; every number is written but once."""
        model = Clip(path="@path", identity="@identity", video="@video", clip="@clip")
        texts = []
        for _ in range(20):
            result, parts = self("@key", model)
            piece = {"result": asdict(result), "parts": [[part.file, part.row] for part in parts], "time": time.time()}
            texts.append(json.dumps({"key": "@key", "result": piece}))
        made = {}
        for number, clip in enumerate(clips):
            key = key_of(clip)
            text = texts[number % 20].replace("@key", key).replace("@path", clip.path)
            text = text.replace("@identity", clip.identity).replace("@video", clip.video).replace("@clip", clip.clip)
            made[key] = text.encode()
        return made


def run(tree: Path, out: Path, size: Size) -> None:
    """A run that does all there is to do: some of it is timed, the rest written at once."""
    pipeline.assembly.join_parts = lambda *_: None
    results = Results(size)
    whole = Plan.of(scanned(tree, size))  # in whose order a run works, and fills its packs
    clips = iter(whole.clips.values())
    plan = Plan.of(Scan(list(islice(clips, size.added))))
    pieces = Pieces(out)
    pieces.begin({})
    assembly = Assembly(pieces, plan, SHARD_BYTES)
    assembly.note_run(clips=size.clips, missing=size.clips)
    with measured(f"{size.added:,} results kept, one by one"):
        for key, clip in plan.clips.items():
            assembly.add(key, *results(key, clip))
    packs = Packs(pieces.folder / "packs")
    with measured(f"{size.clips - size.added:,} others written"):
        while some := list(islice(clips, PACKED)):
            packs.add(results.pieces(some))
    parts = [out / PARTS / file_name(f"{key} 0", ".tar") for key in (*plan.clips, "@key")]
    pipeline.assembly.tree = lambda _: parts
    with measured("their shards noted"):
        pieces = Pieces(out)
        pieces.begin({})
        Assembly(pieces, whole, SHARD_BYTES).finish()


def resume(tree: Path, out: Path, size: Size) -> None:
    """The same again: nothing is missing, and what is left is the end of a run."""
    pipeline.assembly.join_parts = lambda *_: None
    with measured("its libraries"):
        pass
    with measured("scan"):
        found = scanned(tree, size)
    with measured("plan"):
        plan = Plan.of(found)
    del found
    with measured("resume"):
        pieces = Pieces(out)
        pieces.begin({})
        assembly = Assembly(pieces, plan, SHARD_BYTES)
        missing = [key for key in plan.clips if key not in assembly.results]
    assert not missing
    with measured("shards planned and noted"):
        assembly.finish()
    with measured("manifest written"):
        write_manifest(assembly.manifest(), out)
    with measured("ledger written"):
        write_ledger(plan.ledger(assembly.results), out)
    for name in (MANIFEST, LEDGER):
        print(f"  {name}: {(out / name).stat().st_size / 1e6:,.0f} MB")
    packs = [path.stat().st_size for path in (pieces.folder / "packs").iterdir()]
    print(f"  {len(packs)} packs: {sum(packs) / 1e6:,.0f} MB")


def status(tree: Path, out: Path, size: Size) -> None:
    """What `gdpw-pipe status` reads."""
    with measured("status"):
        progress = read_progress(out)
    assert progress.statuses.total() == size.clips


def ledger(tree: Path, out: Path, size: Size) -> None:
    with measured("ledger read"):
        rows = read_ledger(out)
    assert len(rows) == size.clips
    assert sum(row.status == Status.DONE for row in rows) > 0.9 * size.clips


def pairs(tree: Path, out: Path, size: Size) -> None:
    """What a training opens and draws."""
    with measured("manifest read in columns"):
        index = read_track_index(out)
    with measured("sampler"):
        sampler = PairSampler(index, seed=0)
    with measured("1,000 batches of 16 pairs drawn"):
        for step in range(1000):
            sampler.draw_step(step, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_100_000)
    parser.add_argument("--identities", type=int, default=6_000)
    parser.add_argument("--frames-per-clip", type=int, default=200)
    parser.add_argument("--added", type=int, default=20_000, help="Results kept one by one.")
    parser.add_argument("--tree", action="store_true", help="Make a real one.")
    parser.add_argument("--scratch", type=Path, default=None)
    options = parser.parse_args()
    size = Size(options.clips, options.identities, options.frames_per_clip, options.added)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        tree, out = Path(scratch, "vox2"), Path(scratch, "out")
        tree.mkdir()
        if options.tree:
            with measured("tree made"):
                make_tree(tree, size)
        for part in (run, resume, status, ledger, pairs):
            print(part.__name__)
            process = multiprocessing.get_context("spawn").Process(target=part, args=(tree, out, size))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(f"{part.__name__} failed")


if __name__ == "__main__":
    main()

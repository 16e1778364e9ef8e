"""Shards out of samples, as preprocess makes them: a part a track, parts joined in order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.shards import FaceModelStamp, Sample, join_parts, write_part


def write_shards(
    folder: Path, tracks: Iterable[Iterable[Sample]], model: FaceModelStamp, limit: int = 1 << 30
) -> list[tuple[str, list[int]]]:
    """For each track the name of its shard, and where in it its samples begin and the last ends.

    limit: bytes from which on a shard is full.
    """
    places: list[tuple[str, list[int]]] = []
    shards: list[list[Path]] = []
    end = limit
    for number, samples in enumerate(tracks):
        if end >= limit:
            shards.append([])
            end = 0
        part = folder / f".part-{number}"
        offsets = write_part(part, iter(samples), model)
        shards[-1].append(part)
        places.append((_name(len(shards) - 1), [end + offset for offset in offsets]))
        end += offsets[-1]
    for number, parts in enumerate(shards):
        join_parts(folder / _name(number), parts)
        for part in parts:
            part.unlink()
    return places


def _name(number: int) -> str:
    return f"shard-{number:06d}.tar"

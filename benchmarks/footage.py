"""Real clips for benchmarks: cropped tracks, as those of fits ask for on their command lines, and long videos."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from pipeline.crop import CropConfig, CropTrack
from pipeline.encode import write_video
from pipeline.records import Crops, Track
from pipeline.sources import scan
from pipeline.tracks import FindTracks, TrackConfig
from pipeline.video import read_frames

RATE = 25
"""Frames a second of a long video."""


def footage_parser(about: str | None) -> argparse.ArgumentParser:
    """A parser with the options that `cropped_tracks` reads. about: the script's docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True, help="a video, or a folder of videos")
    parser.add_argument("--max-frames", type=int, help="only the first frames of each track")
    parser.add_argument("--size", type=int, default=256, help="side of the crops in pixels")
    return parser


def cropped_tracks(options: argparse.Namespace) -> Iterator[tuple[str, Track, Crops]]:
    """The clip's name, a track of it, and its crops."""
    crop = CropTrack(CropConfig(size=options.size))
    with FindTracks(TrackConfig()) as find:
        for clip in scan(options.clips).clips:
            for track in find(clip).tracks:
                begun = _first_frames(track, options.max_frames)
                yield clip.clip, begun, crop(begun)


def _first_frames(track: Track, count: int | None) -> Track:
    names = ("numbers", "times", "landmarks", "head_pose")
    return replace(track, **{name: getattr(track, name)[:count] for name in names})


def write_long_video(path: Path, clip: Path, minutes: float) -> None:
    """The clip's pictures to and fro for so long, so that nothing jumps and one face goes on without a cut."""
    images = [frame.image for frame in read_frames(clip)]
    write_video(path, islice(cycle(images + images[-2:0:-1]), round(minutes * 60 * RATE)), RATE)

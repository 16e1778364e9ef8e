"""Cropped tracks of real clips, as benchmarks of fits ask for them on their command lines."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.crop import CropConfig, CropTrack
from pipeline.records import Crops, Track
from pipeline.sources import scan
from pipeline.tracks import FindTracks, TrackConfig


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

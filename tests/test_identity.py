import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.fit import FitConfig
from pipeline.identity import Identity, identity_file
from pipeline.observer import Observer, Seen
from pipeline.pictures import read_picture
from pipeline.video import read_frames


@pytest.fixture(scope="module")
def identity() -> Identity:
    try:
        return Identity()
    except PipelineError as error:
        pytest.skip(str(error))


def _seen(observer: Observer, *images: NDArray[np.uint8]) -> Seen:
    seen = observer(np.stack(images), np.arange(len(images)) / 25, torch.zeros(100))
    assert seen.found.all()
    return seen


def test_two_frames_of_a_man_are_nearer_than_he_and_a_woman(
    identity: Identity, carphone: Path, astronaut: Path
) -> None:
    frames = [frame.image[:144, :144] for frame in islice(read_frames(carphone), 0, 90, 45)]
    with Observer(FitConfig(fitter="landmarks")) as observer:
        he, she = _seen(observer, *frames), _seen(observer, read_picture(astronaut)[:300, 80:380])
    first, second = (identity(image, points) for image, points in zip(he.images, he.points, strict=True))
    other = identity(she.images[0], she.points[0])
    assert np.linalg.norm(first) == pytest.approx(1)
    assert first @ second > 0.95
    assert first @ other < 0.92


def test_without_dlib_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(PipelineError, match=r"pip install 'gdpw-pipe\[identity\]'"):
        identity_file()

"""reenact on real footage: the portrait moves as the driver does, at the driver's times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs.outputs import MisuseError
from jobs.reenact import ReenactConfig, run
from pipeline.video import read_frames


@pytest.fixture(scope="module")
def animation(astronaut: Path, excerpt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reenact") / "out.mp4"
    summary = run(ReenactConfig(source=str(astronaut), driving=str(excerpt), out=out, panels=True))
    assert summary == f"{out}: 12 frames"
    return out


def test_frames_and_times_are_the_drivers(animation: Path, excerpt: Path) -> None:
    written, driver = list(read_frames(animation)), list(read_frames(excerpt))
    np.testing.assert_allclose([f.time for f in written], [f.time for f in driver], atol=1e-4)


def test_panels_are_source_result_and_driving(animation: Path) -> None:
    frames = np.stack([frame.image for frame in read_frames(animation)]).astype(float)
    assert frames.shape == (12, 256, 768, 3)
    source, result, driving = np.split(frames, 3, axis=2)
    changes = [np.abs(np.diff(panel, axis=0)).mean() for panel in (source, result, driving)]
    assert changes[0] < 1 < min(changes[1:])
    resemblance = [np.abs(result - panel).mean() for panel in (source, driving)]
    assert resemblance[0] < resemblance[1]


def test_the_result_alone_replaces_a_former_one_only_where_allowed(
    animation: Path, astronaut: Path, excerpt: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"former")
    config = ReenactConfig(source=str(astronaut), driving=str(excerpt), out=out)
    with pytest.raises(MisuseError, match="exists already"):
        run(config)
    assert out.read_bytes() == b"former"
    run(ReenactConfig(source=str(astronaut), driving=str(excerpt), out=out, overwrite=True))
    result = [frame.image for frame in read_frames(out)]
    panels = [frame.image[:, 256:512] for frame in read_frames(animation)]
    assert np.abs(np.stack(result).astype(int) - np.stack(panels)).mean() < 3

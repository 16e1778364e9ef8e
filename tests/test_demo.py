"""The demo: the astronaut's head turns and her mouth opens as the driver's do."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from motion import Motion, correlation, motion_of

from jobs.demo import packaged_file, run
from pipeline.encode import write_video
from pipeline.errors import PipelineError
from pipeline.ledger import read_manifest
from pipeline.sources import clip_of
from pipeline.tracks import find_tracks
from pipeline.video import read_frames

FRAMES = 120


class Demo(NamedTuple):
    folder: Path
    text: str


@pytest.fixture(scope="module")
def demo(carphone: Path, astronaut: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run where a former demo lies."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    for former in ("dataset/dataset.json", "dataset/shard-000007.tar", "overlay.mp4", "animation.mp4"):
        (folder / former).parent.mkdir(parents=True, exist_ok=True)
        (folder / former).write_text("former")
    return Demo(folder, run(folder))


@pytest.fixture(scope="module")
def motions(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> tuple[Motion, Motion]:
    """Result and driver, tracked anew in the written animation."""
    folder = tmp_path_factory.mktemp("panels")
    panels = [np.split(frame.image, 3, axis=1) for frame in read_frames(demo.folder / "animation.mp4")]
    tracked = []
    for name, index in (("result", 1), ("driver", 2)):
        write_video(folder / f"{name}.mp4", [panel[index] for panel in panels], 25)
        (track,) = find_tracks(clip_of(folder / f"{name}.mp4"))
        assert len(track) == FRAMES
        tracked.append(motion_of(track))
    return tracked[0], tracked[1]


def test_it_says_where_to_look(demo: Demo) -> None:
    for name in ("dataset", "overlay.mp4", "animation.mp4"):
        assert f"{demo.folder / name}:" in demo.text


def test_it_leaves_nothing_of_a_former_demo(demo: Demo) -> None:
    assert sorted(path.name for path in demo.folder.iterdir()) == ["animation.mp4", "dataset", "overlay.mp4"]
    assert [path.name for path in demo.folder.rglob("*.tar")] == ["shard-000000.tar"]


def test_every_frame_is_fitted_closely(demo: Demo) -> None:
    (row,) = read_manifest(demo.folder / "dataset")
    assert row.frames == FRAMES
    assert row.error_median_px <= 1.0
    assert row.error_p95_px <= 3.0


def test_the_overlay_is_large_and_keeps_the_drivers_times(demo: Demo, carphone: Path) -> None:
    frames = list(read_frames(demo.folder / "overlay.mp4"))
    assert len(frames) == FRAMES
    assert min(frames[0].image.shape[:2]) >= 700
    assert [frame.time for frame in frames] == pytest.approx([f.time for f in read_frames(carphone)], abs=1e-4)


def test_her_head_turns_as_the_drivers(motions: tuple[Motion, Motion]) -> None:
    result, driver = motions
    assert correlation(result.yaw, driver.yaw) >= 0.8
    assert result.yaw.std() / driver.yaw.std() >= 0.4


def test_her_mouth_opens_as_the_drivers(motions: tuple[Motion, Motion]) -> None:
    result, driver = motions
    assert correlation(result.jaw, driver.jaw) >= 0.85
    assert result.jaw.std() / driver.jaw.std() >= 0.4


def test_a_missing_package_is_named_in_one_line() -> None:
    with pytest.raises(PipelineError, match=r"lies in no-such-package: pip install 'gdpw-pipe\[demo\]'"):
        packaged_file("no-such-package", "clip.mp4")
    with pytest.raises(PipelineError, match="not in this release of pytest"):
        packaged_file("pytest", "clip.mp4")

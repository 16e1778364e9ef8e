"""reenact on real footage: the portrait moves as the driver does, at the driver's times."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs.outputs import MisuseError
from jobs.reenact import ReenactConfig, run
from pipeline.encode import write_video
from pipeline.errors import InputError, PipelineError
from pipeline.models import ModelConfig
from pipeline.pictures import read_picture
from pipeline.reenactment import FollowConfig
from pipeline.transfer import TransferConfig
from pipeline.video import frame_times, read_frames

UNSMOOTHED = FollowConfig(transfer=TransferConfig(smooth="none"))


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


def test_the_pictures_and_the_codes_are_written_too(
    animation: Path, astronaut: Path, excerpt: Path, tmp_path: Path
) -> None:
    frames, codes = tmp_path / "frames", tmp_path / "codes.npz"
    config = ReenactConfig(source=str(astronaut), driving=str(excerpt), out=tmp_path / "a.mp4", panels=True)
    run(replace(config, frames=frames, codes=codes))
    written = [read_picture(frames / f"{number:06d}.png") for number in range(12)]
    encoded = np.stack([frame.image for frame in read_frames(animation)]).astype(int)
    assert np.abs(np.stack(written) - encoded).mean() < 3
    again = tmp_path / "again"
    run(replace(config, driving=str(codes), out=tmp_path / "b.mp4", frames=again, follow=UNSMOOTHED))
    results = [read_picture(again / f"{number:06d}.png")[:, 256:512].astype(int) for number in range(12)]
    assert np.abs(np.stack(results) - np.stack(written)[:, :, 256:512]).mean() < 3


def test_pasted_back_the_picture_is_the_source_outside_the_mask(astronaut: Path, excerpt: Path, tmp_path: Path) -> None:
    out, frames = tmp_path / "a.mp4", tmp_path / "frames"
    run(ReenactConfig(source=str(astronaut), driving=str(excerpt), out=out, paste_back=True, frames=frames))
    source = read_picture(astronaut)
    pictures = np.stack([read_picture(path) for path in sorted(frames.iterdir())])
    assert pictures.shape == (12, *source.shape)
    changed = (pictures != source).any(axis=(0, 3))
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert changed.mean() > 0.05
    assert (rows[-1] - rows[0] < 400) & (columns[-1] - columns[0] < 400)


def test_frames_without_a_face_are_left_out_where_that_is_wanted(
    astronaut: Path, excerpt: Path, tmp_path: Path
) -> None:
    faces = [frame.image for frame in read_frames(excerpt)][:6]
    write_video(tmp_path / "gap.mp4", [*faces[:3], *[np.zeros_like(faces[0])] * 5, *faces[3:]], 6)
    config = ReenactConfig(source=str(astronaut), driving=str(tmp_path / "gap.mp4"), out=tmp_path / "out.mp4")
    assert "11 frames, no face in 5 of the driver's 11" in run(config)
    skipping = replace(config, follow=FollowConfig(on_missing="skip"), overwrite=True)
    assert "6 frames, no face in 5" in run(skipping)
    np.testing.assert_allclose(frame_times(config.out), np.array([0, 1, 2, 8, 9, 10]) / 6, atol=1e-4)
    with pytest.raises(InputError, match=r"no face at 0\.50 s"):
        run(replace(config, follow=FollowConfig(on_missing="stop"), out=tmp_path / "none.mp4"))
    assert not (tmp_path / "none.mp4").exists()


def test_what_does_not_go_together_is_refused(astronaut: Path, excerpt: Path, tmp_path: Path) -> None:
    config = ReenactConfig(source=str(astronaut), driving=str(excerpt), out=tmp_path / "a.mp4")
    with pytest.raises(MisuseError, match="--paste-back or --layout panels"):
        run(replace(config, panels=True, paste_back=True))
    with pytest.raises(MisuseError, match="gone: no such file"):
        run(replace(config, source=f"{tmp_path / 'gone'}::a/b/c"))
    with pytest.raises(PipelineError, match="needs its weights"):
        run(replace(config, model=ModelConfig(name="gdpw")))

"""preprocess with DECA on footage in VoxCeleb's layout: what is stored is what a direct call of the fit gives."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from deca_files import write_deca_files

from jobs.preprocess import PreprocessConfig, run
from pipeline.assets import FOLDER_VARIABLE
from pipeline.crop import CropConfig, CropTrack
from pipeline.dataset import open_dataset
from pipeline.encode import write_video
from pipeline.fit import FitConfig, FitTrack
from pipeline.shards import FaceModelStamp
from pipeline.sources import scan
from pipeline.tracks import FindTracks, TrackConfig
from pipeline.video import read_frames

FRAMES = 6
"""Of each clip: the encoder takes a fifth of a second a face on a CPU."""


@pytest.fixture
def voices(shared: Path, tmp_path: Path) -> Path:
    """The beginnings of two people's clips, in the published layout."""
    published = shared / "voxceleb_layout"
    for person in ("id19005", "id19004"):
        for clip in (published / "vox2" / "dev" / "mp4" / person).rglob("*.mp4"):
            copy = tmp_path / clip.relative_to(published)
            write_video(copy, [frame.image for frame in islice(read_frames(clip), FRAMES)], 25)
    return tmp_path / "vox2"


def test_stored_codes_and_vertices_are_those_of_a_direct_call(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    write_deca_files(assets)
    monkeypatch.setenv(FOLDER_VARIABLE, str(assets))
    fit = FitConfig(fitter="auto").settled()
    assert fit.fitter == "deca"
    out = tmp_path / "out"
    run(PreprocessConfig(input=voices, out=out, fit=fit, crop=CropConfig(size=128), workers=1))

    stage = FitTrack(fit)
    dataset = open_dataset(out, FaceModelStamp.of(stage.face_model))
    assert dataset.config["fit"]["fitter"] == "deca"
    assert {row.identity for row in dataset.tracks} == {"id19004", "id19005"}
    crop = CropTrack(CropConfig(size=128, encoder=True))
    with FindTracks(TrackConfig()) as find:
        for clip in scan(voices).clips:
            samples = dataset.read_track(clip.identity, clip.video, clip.clip, 0)
            (track,) = find(clip).tracks
            direct = stage(track, crop(track))
            assert len(samples) == FRAMES
            stored = np.stack([sample.codes for sample in samples])
            np.testing.assert_allclose(stored, direct.codes.flat(), atol=1e-4)
            vertices = np.stack([sample.vertices for sample in samples])
            np.testing.assert_allclose(vertices, direct.vertices, atol=0.05)

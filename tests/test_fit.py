"""The stage around the fitters: which one is taken, what it makes of tracks, what is kept of its settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from deca_files import DecaFiles, write_deca_files
from fit_measures import jitter

from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.deca_file import load_encoder
from fit_deca.encoder import split_parameters
from fit_deca.flame import Flame
from fit_deca.head import load_generic_head
from fit_deca.model_file import save_npz
from pipeline.assets import FOLDER_VARIABLE
from pipeline.crop import CropConfig, CropTrack, encoder_crop, face_box, sixty_eight, warp_picture
from pipeline.errors import PipelineError
from pipeline.fit import FitConfig, FitTrack
from pipeline.fitters import CroppedTrack
from pipeline.sources import clip_of
from pipeline.tracks import find_tracks
from pipeline.video import read_frames

FRAMES = 6


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DecaFiles:
    return write_deca_files(tmp_path_factory.mktemp("deca"))


@pytest.fixture(autouse=True)
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of the user's is found; what is worked out is kept in a folder of the test."""
    folder = tmp_path / "assets"
    folder.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture(scope="module")
def cropped(excerpt: Path) -> CroppedTrack:
    (track,) = find_tracks(clip_of(excerpt))
    return _first(CroppedTrack(track, CropTrack(CropConfig(encoder=True))(track)), FRAMES)


@pytest.fixture(scope="module")
def deca(files: DecaFiles) -> FitConfig:
    return FitConfig(
        fitter="deca",
        face_model=files.face_model,
        deca_model=files.deca_model,
        landmark_embedding=files.landmark_embedding,
    )


def test_auto_takes_deca_where_its_three_files_are_found(files: DecaFiles, assets: Path) -> None:
    config = FitConfig(fitter="auto")
    assert config.settled().fitter == "landmarks"
    assert "deca would need deca_model.tar, generic_model.pkl, landmark_embedding.npy" in config.described()
    for file in files:
        (assets / file.name).symlink_to(file)
    used = config.settled()
    assert (used.fitter, used.shape, used.smooth) == ("deca", "frame", "none")
    assert used.face_model == assets / "generic_model.pkl"
    assert config.described() == "fitter: deca on generic_model.pkl, shape a frame, smooth none"


def test_a_file_that_is_missing_is_named(files: DecaFiles) -> None:
    config = FitConfig(fitter="deca", face_model=files.face_model, landmark_embedding=files.landmark_embedding)
    with pytest.raises(PipelineError, match=r"deca_model.tar .*not found.*assets fetch deca"):
        FitTrack(config)


def test_one_shape_a_frame_takes_deca() -> None:
    with pytest.raises(ValueError, match="needs the fitter deca"):
        FitConfig(shape="frame")


def test_what_decides_the_fit_is_stored(deca: FitConfig) -> None:
    stored = json.loads(json.dumps(deca.stored()))
    assert (stored["fitter"], stored["shape"], stored["smooth"]) == ("deca", "frame", "none")
    assert len(stored["deca_model"]) == 64
    assert FitConfig().stored()["smooth"] == "optimise"


def test_deca_gives_what_its_steps_give_one_frame_at_a_time(
    deca: FitConfig, cropped: CroppedTrack, excerpt: Path, files: DecaFiles
) -> None:
    stage = FitTrack(deca)
    track, crops = cropped.track, cropped.crops
    fit = stage(track, crops)
    encoder = load_encoder(files.deca_model)
    for row, frame in list(enumerate(read_frames(excerpt)))[:FRAMES:3]:
        to_crop = encoder_crop(face_box(sixty_eight(track.landmarks[row])))
        face = torch.from_numpy(warp_picture(frame.image, to_crop, 224, 224)).permute(2, 0, 1)[None] / 255
        codes = split_parameters(encoder(face)).codes
        torch.testing.assert_close(fit.codes.flat()[row], codes.flat()[0], rtol=0, atol=1e-4)
        plane = project_orthographic(stage.flame(codes), codes.camera)
        in_crop = torch.cat([plane[..., :2] * 112 + 112, plane[..., 2:]], dim=2)
        recover = torch.from_numpy(crops.transforms[row] @ np.linalg.inv(to_crop))[None]
        astray = 0.5 - 0.5 * crops.transforms[row, 0, 0]  # of the window in numbers of its pixels, as is published
        expected = apply_recover(in_crop, recover.float())[0, :, :2] - astray
        np.testing.assert_allclose(fit.vertices[row, :, :2], expected, atol=0.02)
    assert fit.light is not None
    assert fit.light.shape == (len(track), 9, 3)
    assert fit.error_px.shape == (len(track), 478)


def test_tracks_that_go_through_together_are_fitted_as_alone(deca: FitConfig, cropped: CroppedTrack) -> None:
    stage = FitTrack(deca)
    short = _first(cropped, 3)
    together = stage.several([cropped, short])
    assert [len(fit.vertices) for fit in together] == [FRAMES, 3]
    np.testing.assert_allclose(together[1].vertices, stage(*short).vertices, atol=1e-2)


def test_one_shape_a_track_is_the_same_in_every_frame(deca: FitConfig, cropped: CroppedTrack) -> None:
    by_frame, by_track = (FitTrack(replace(deca, shape=shape))(*cropped).codes.shape for shape in ("frame", "track"))
    assert (by_track == by_track[0]).all()
    torch.testing.assert_close(by_track[0], by_frame.median(0).values)


@pytest.mark.parametrize("smooth", ["one-euro", "optimise"])
def test_smoothing_steadies_the_mesh_where_it_is(deca: FitConfig, cropped: CroppedTrack, smooth: str) -> None:
    plain = FitTrack(deca)(*cropped)
    steady = FitTrack(replace(deca, shape="track", smooth=smooth))(*cropped)
    assert jitter(steady.vertices) < 0.8 * jitter(plain.vertices)
    assert np.abs(steady.vertices.mean(1) - plain.vertices.mean(1))[:, :2].max() < 12
    again = apply_recover(
        project_orthographic(FitTrack(deca).flame(steady.codes), steady.codes.camera),
        torch.from_numpy(steady.recover).float(),
    )
    np.testing.assert_allclose(again[..., :2], steady.vertices[..., :2], atol=1e-2)


def test_crops_for_another_fitter_are_refused(deca: FitConfig, cropped: CroppedTrack) -> None:
    with pytest.raises(PipelineError, match="cropped for another fitter"):
        FitTrack(deca)(cropped.track, replace(cropped.crops, encoder=None))


def test_refined_codes_follow_the_points_where_those_of_deca_do_not(
    deca: FitConfig, cropped: CroppedTrack, tmp_path: Path
) -> None:
    save_npz(load_generic_head(), tmp_path / "head.npz")
    on_head = replace(deca, face_model=tmp_path / "head.npz")
    alone = FitTrack(on_head)(*cropped)
    refined = FitTrack(replace(on_head, fitter="deca+landmarks"))(*cropped)
    assert np.median(refined.error_px) < 1.0 < np.median(alone.error_px)
    assert refined.light is not None


def test_landmarks_without_smoothing_tremble_more(cropped: CroppedTrack) -> None:
    found = {smooth: FitTrack(FitConfig(smooth=smooth))(*cropped) for smooth in ("none", "one-euro", "optimise")}
    shaking = {smooth: jitter(fit.vertices) for smooth, fit in found.items()}
    assert shaking["optimise"] < shaking["none"]
    assert shaking["one-euro"] < shaking["none"]


def test_a_flame_file_of_ones_own_is_fitted_through_either_set_of_points(cropped: CroppedTrack, tmp_path: Path) -> None:
    head = load_generic_head()
    save_npz(replace(head, mediapipe=None), tmp_path / "own.npz")
    stage = FitTrack(FitConfig(face_model=tmp_path / "own.npz"))
    assert np.median(stage(*cropped).error_px) < 1.0
    few = replace(cropped.crops, landmarks=sixty_eight(cropped.crops.landmarks))
    fit = stage(cropped.track, few)
    assert fit.error_px.shape == (FRAMES, 68)
    assert np.median(fit.error_px) < 1.5


def test_the_fitted_flame_is_known_without_reading_the_encoder(deca: FitConfig, tmp_path: Path) -> None:
    (tmp_path / "deca_model.tar").write_bytes(b"not read")
    stage = FitTrack(replace(deca, deca_model=tmp_path / "deca_model.tar"))
    assert isinstance(stage.flame, Flame)
    assert len(stage.face_model.v_template) == 5023


def _first(cropped: CroppedTrack, count: int) -> CroppedTrack:
    track, crops = cropped.track, cropped.crops
    assert crops.encoder is not None
    names = ("numbers", "times", "landmarks", "head_pose")
    return CroppedTrack(
        replace(track, **{name: getattr(track, name)[:count] for name in names}),
        replace(
            crops,
            images=crops.images[:count],
            transforms=crops.transforms[:count],
            landmarks=crops.landmarks[:count],
            encoder=type(crops.encoder)(*(array[:count] for array in crops.encoder)),
        ),
    )

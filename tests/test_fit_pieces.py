"""A track fitted piece by piece is the track fitted as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline import fit_pieces
from pipeline.crop import CropConfig, CropTrack
from pipeline.encode import write_video
from pipeline.errors import InputError, Reason
from pipeline.fit import FitConfig, FitTrack
from pipeline.fit_pieces import FitPieces, FittedClip
from pipeline.render import meshes
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig
from pipeline.video import read_frames

SIZE = 256


@pytest.fixture(scope="module")
def find_tracks() -> FindTracks:
    return FindTracks(TrackConfig(min_frames=1))


@pytest.fixture(scope="module")
def fit_track() -> FitTrack:
    return FitTrack(FitConfig(fitter="landmarks"))


@pytest.fixture(scope="module")
def in_pieces(carphone: Path, find_tracks: FindTracks, fit_track: FitTrack) -> FittedClip:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_pieces, "PIECE", 40)
        patch.setattr(fit_pieces, "CONTEXT", 10)
        return FitPieces(find_tracks, fit_track, SIZE)(clip_of(carphone))


def test_short_tracks_are_one_piece_and_equal_the_fit_of_the_whole(
    carphone: Path, find_tracks: FindTracks, fit_track: FitTrack
) -> None:
    (take,) = FitPieces(find_tracks, fit_track, SIZE)(clip_of(carphone)).takes
    (track,) = find_tracks(clip_of(carphone)).tracks
    whole = fit_track(track, CropTrack(CropConfig(size=SIZE))(track))
    np.testing.assert_allclose(meshes(fit_track.flame, take.performance), whole.vertices, atol=0.02)
    np.testing.assert_array_equal(take.frames, np.arange(120))
    np.testing.assert_array_equal(take.performance.times, track.times)


def test_pieces_join_without_a_seam(in_pieces: FittedClip, fit_track: FitTrack) -> None:
    (take,) = in_pieces.takes
    np.testing.assert_array_equal(take.frames, np.arange(120))
    shapes = take.performance.codes.shape
    assert (shapes == shapes[0]).all()
    vertices = meshes(fit_track.flame, take.performance)[..., :2].numpy()
    jumps = np.linalg.norm(np.diff(vertices, n=2, axis=0), axis=2).mean(1)
    for seam in (40, 80):
        nearby = jumps[seam - 12 : seam + 10]
        assert jumps[seam - 2 : seam].max() < 3 * np.median(nearby)


def test_a_gap_ends_a_track_and_what_is_black_has_no_face(
    carphone: Path, find_tracks: FindTracks, fit_track: FitTrack, tmp_path: Path
) -> None:
    images = [frame.image for frame in read_frames(carphone)][:40]
    black = [np.zeros_like(images[0])] * 20
    write_video(tmp_path / "gap.mp4", [*black[:3], *images[:15], *black, *images[15:]], 25)
    fitted = FitPieces(find_tracks, fit_track, SIZE)(clip_of(tmp_path / "gap.mp4"))
    assert [take.frames[[0, -1]].tolist() for take in fitted.takes] == [[3, 17], [38, 62]]
    assert len(fitted.times) == 63
    write_video(tmp_path / "black.mp4", black, 25)
    with pytest.raises(InputError) as caught:
        FitPieces(find_tracks, fit_track, SIZE)(clip_of(tmp_path / "black.mp4"))
    assert caught.value.reason == Reason.NO_FACE


def test_tracks_that_are_too_short_do_not_count(carphone: Path, fit_track: FitTrack, tmp_path: Path) -> None:
    images = [frame.image for frame in read_frames(carphone)][:4]
    write_video(tmp_path / "short.mp4", [*images, *[np.zeros_like(images[0])] * 6], 25)
    with FindTracks(replace(TrackConfig(), min_frames=5)) as find_tracks, pytest.raises(InputError) as caught:
        FitPieces(find_tracks, fit_track, SIZE)(clip_of(tmp_path / "short.mp4"))
    assert caught.value.reason == Reason.TOO_SHORT

"""Whatever drives: films, folders, stills, datasets, codes; and what becomes of frames without a face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic_dataset import MadeTrack, write_dataset

from fit_deca.codes import CODE_SIZES, Codes
from pipeline.driving import Driving, read_driving
from pipeline.edit_file import write_performance
from pipeline.encode import write_video
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.fit import FitConfig, FitTrack
from pipeline.performance import Performance
from pipeline.portrait import read_portrait
from pipeline.shards import FaceModelStamp
from pipeline.tracks import FindTracks, TrackConfig
from pipeline.video import read_frames

SIZE = 64


@pytest.fixture(scope="module")
def find_tracks() -> FindTracks:
    return FindTracks(TrackConfig(min_frames=1))


@pytest.fixture(scope="module")
def fit_track() -> FitTrack:
    return FitTrack(FitConfig(fitter="landmarks"))


@pytest.fixture(scope="module")
def gappy(
    excerpt: Path, find_tracks: FindTracks, fit_track: FitTrack, tmp_path_factory: pytest.TempPathFactory
) -> Driving:
    """Two black frames, six of a face, twelve black ones (over half a second), six of a face."""
    faces = [frame.image for frame in read_frames(excerpt)]
    black = np.zeros_like(faces[0])
    path = tmp_path_factory.mktemp("gappy") / "gappy.mp4"
    write_video(path, [*[black] * 2, *faces[:6], *[black] * 12, *faces[6:]], 20)
    return read_driving(str(path), find_tracks, fit_track, SIZE)


def test_every_frame_has_its_time_and_its_row_or_none(gappy: Driving) -> None:
    np.testing.assert_array_equal(gappy.rows, [-1, -1, 0, 1, 2, 3, 4, 5, *[-1] * 12, 6, 7, 8, 9, 10, 11])
    np.testing.assert_allclose(gappy.times, np.arange(26) / 20, atol=1e-4)
    assert len(gappy.takes[0]) == 6
    assert sum(map(len, gappy.takes)) == 12


def test_missing_faces_are_held_skipped_or_end_the_work(gappy: Driving) -> None:
    held = gappy.shown("hold")
    np.testing.assert_array_equal(held.frames, np.arange(26))
    np.testing.assert_array_equal(held.rows, [0, 0, 0, 1, 2, 3, 4, 5, *[5] * 12, 6, 7, 8, 9, 10, 11])
    skipped = gappy.shown("skip")
    np.testing.assert_array_equal(skipped.frames, [*range(2, 8), *range(20, 26)])
    np.testing.assert_array_equal(skipped.rows, np.arange(12))
    with pytest.raises(InputError, match=r"no face at 0\.00 s \(frame 0\)") as caught:
        gappy.shown("stop")
    assert caught.value.reason == Reason.NO_FACE


def test_its_pictures_are_one_a_frame_framed_as_the_face_was(gappy: Driving) -> None:
    pictures = list(gappy.pictures(SIZE))
    assert {picture.shape for picture in pictures} == {(SIZE, SIZE, 3)}
    assert [bool(picture.mean() > 10) for picture in pictures] == (gappy.rows >= 0).tolist()


def test_a_folder_and_a_still_drive_as_a_film_does(
    excerpt: Path, find_tracks: FindTracks, fit_track: FitTrack, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, frame in enumerate(read_frames(excerpt)):
        Image.fromarray(frame.image).save(folder / f"{number}.png")
    film, pictures, still = (
        read_driving(str(path), find_tracks, fit_track, SIZE) for path in (excerpt, folder, folder / "3.png")
    )
    # Still pictures are 1/25 s apart, those of the film 1/6 s, over which codes are steadied less.
    assert (pictures.takes[0].codes.pose - film.takes[0].codes.pose).abs().max() < 0.15
    np.testing.assert_allclose(pictures.times, np.arange(12) / 25)
    assert film.film == excerpt
    assert pictures.film is None
    assert len(still) == 1


def test_tracks_of_a_dataset_drive_with_their_stored_codes(
    find_tracks: FindTracks, fit_track: FitTrack, tmp_path: Path
) -> None:
    made = write_dataset(tmp_path / "set", [MadeTrack("ann", "clip", frames=5), MadeTrack("bob", "clip", frames=3)])
    driving = read_driving(f"{made}::ann/video/clip", find_tracks, fit_track, 128)
    assert len(driving) == 5
    np.testing.assert_array_equal(driving.rows, np.arange(5))
    (take,) = driving.takes
    assert take.size == 128
    assert take.recover[0, 0, 0] == 64
    assert take.codes.pose[:, 1].std() > 0.05
    assert [picture.shape for picture in driving.pictures(128)] == [(128, 128, 3)] * 5
    with pytest.raises(PipelineError, match="no track ann/video/other"):
        read_driving(f"{made}::ann/video/other", find_tracks, fit_track, 128)


def test_codes_in_a_file_drive_and_show_their_mesh(
    find_tracks: FindTracks, fit_track: FitTrack, tmp_path: Path
) -> None:
    codes = Codes(*(torch.zeros(3, size) for size in CODE_SIZES.values()))
    codes.camera[:, 0] = 7
    performance = Performance(
        times=np.array([0.0, 0.1, 0.5]),
        codes=codes,
        recover=np.tile([[16.0, 0, 16], [0, 16, 16], [0, 0, 1]], (3, 1, 1)),
        size=32,
        face_model=FaceModelStamp.of(fit_track.face_model),
    )
    write_performance(tmp_path / "a.npz", performance)
    driving = read_driving(str(tmp_path / "a.npz"), find_tracks, fit_track, SIZE)
    np.testing.assert_array_equal(driving.times, [0, 0.1, 0.5])
    pictures = list(driving.pictures(SIZE))
    assert len(pictures) == 3
    assert 0.2 < (pictures[0] > 0).mean() < 0.95
    write_performance(tmp_path / "b.npz", replace(performance, face_model=FaceModelStamp(name="x", hash="y")))
    with pytest.raises(PipelineError, match="made with the face model x"):
        read_driving(str(tmp_path / "b.npz"), find_tracks, fit_track, SIZE)


def test_a_moment_of_a_film_and_a_frame_of_a_dataset_are_portraits(
    carphone: Path, find_tracks: FindTracks, fit_track: FitTrack, tmp_path: Path
) -> None:
    frames = list(read_frames(carphone))
    wanted = frames[31]
    seconds = wanted.time - frames[0].time + 0.005
    portrait = read_portrait(f"{carphone}@{seconds:.3f}s", find_tracks, fit_track, SIZE)
    np.testing.assert_array_equal(portrait.picture, wanted.image)
    assert len(portrait.take.times) == 1
    made = write_dataset(tmp_path / "set", [MadeTrack("ann", "clip", frames=5)], size=SIZE)
    stored = read_portrait(f"{made}::ann/video/clip/0@3", find_tracks, fit_track, SIZE)
    assert stored.take.codes.pose[0, 1] == pytest.approx(
        read_driving(f"{made}::ann/video/clip", find_tracks, fit_track, SIZE).takes[0].codes.pose[3, 1]
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [("{film}", "name its moment"), ("{film}@99s", "before 99 s"), ("{folder}/none.png", "no such")],
)
def test_what_is_no_portrait_says_why(
    excerpt: Path, find_tracks: FindTracks, fit_track: FitTrack, tmp_path: Path, name: str, problem: str
) -> None:
    with pytest.raises(PipelineError, match=problem):
        read_portrait(name.format(film=excerpt, folder=tmp_path), find_tracks, fit_track, SIZE)

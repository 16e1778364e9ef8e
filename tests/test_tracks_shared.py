"""Tracks of real clips: every frame of the good ones, and no mix of people in the bad ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError, Reason
from pipeline.pictures import read_picture
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig


@pytest.fixture(scope="module")
def stage() -> Iterator[FindTracks]:
    with FindTracks(TrackConfig()) as stage:
        yield stage


@pytest.mark.parametrize(
    ("name", "face"),
    [
        ("duda_1080p_dropped.mp4", 184),  # standing, far from the camera
        ("dafoe_720p_bigyaw.mp4", 468),  # 45 degrees to either side
        ("lia_vox2_256.mp4", 166),  # a VoxCeleb crop
        ("retalk1_700_vfr.mp4", 248),
    ],
)
def test_every_frame_of_a_good_clip_is_in_one_track(shared: Path, stage: FindTracks, name: str, face: float) -> None:
    found = stage(clip_of(shared / "clips" / name))
    (track,) = found.tracks
    assert len(track) >= 0.98 * found.frames
    assert np.median(np.ptp(track.landmarks[..., :2], axis=1).max(1)) == pytest.approx(face, rel=0.05)
    assert (np.diff(track.numbers) >= 1).all()
    assert (np.diff(track.times) > 0).all()


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("identity_switch_cut.mp4", [(0, 37), (38, 75)]),
        ("black_gap.mp4", [(0, 24), (51, 74)]),
        ("two_faces_side_by_side.mp4", [(0, 74)]),
        ("edit_list.mp4", [(0, 41)]),
        ("corrupt_middle.mp4", [(0, 25)]),
        ("vfr_gaps.mp4", [(0, 6), (7, 33)]),
        ("rotated_meta_90.mp4", [(0, 74)]),
    ],
)
def test_tracks_end_where_the_person_does(
    shared: Path, stage: FindTracks, name: str, spans: list[tuple[int, int]]
) -> None:
    tracks = stage(clip_of(shared / "hard" / name)).tracks
    assert [(track.numbers[0], track.numbers[-1]) for track in tracks] == spans


def test_of_two_people_one_is_followed_throughout(shared: Path, stage: FindTracks) -> None:
    (track,) = stage(clip_of(shared / "hard" / "two_faces_side_by_side.mp4")).tracks
    middle = track.landmarks[..., 0].mean(1)
    assert len(set((middle > track.width / 2).tolist())) == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("all_black.mp4", Reason.NO_FACE),
        ("no_face_coffee.mp4", Reason.NO_FACE),
        ("upside_down.mp4", Reason.FACE_ROLLED),
        ("tiny_face_taichi.mp4", Reason.FACE_TOO_SMALL),
        ("tiny_16x16.mp4", Reason.FACE_TOO_SMALL),
        ("one_frame.mp4", Reason.TOO_SHORT),
        ("zero_byte.mp4", Reason.UNREADABLE),
        ("trunc_no_moov.mp4", Reason.UNREADABLE),
        ("audio_only.mp4", Reason.NO_VIDEO_STREAM),
        ("audio_with_cover_art.mp4", Reason.NO_VIDEO_STREAM),
        ("jpeg_renamed.mp4", Reason.NOT_VIDEO),
    ],
)
def test_unsuitable_clips_are_refused_for_what_they_are(
    shared: Path, stage: FindTracks, name: str, reason: Reason
) -> None:
    with pytest.raises(InputError, match=name) as caught:
        stage(clip_of(shared / "hard" / name))
    assert caught.value.reason is reason


def test_every_portrait_but_the_full_profile_has_its_face(shared: Path, stage: FindTracks) -> None:
    for path in sorted((shared / "portraits").iterdir()):
        if path.suffix == ".csv" or path.name.startswith("aflw"):
            continue
        assert len(stage.still(clip_of(path), read_picture(path))) == 1, path.name

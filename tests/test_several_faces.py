"""Several people in a clip: who is followed, who is who, and nobody under another's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cast import named_by_rank
from pipeline.encode import write_video
from pipeline.errors import InputError, Reason
from pipeline.pictures import read_picture
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig, TrackedClip, find_tracks
from pipeline.video import read_frames


@pytest.fixture(scope="module")
def caller(carphone: Path) -> list[np.ndarray]:
    """12 frames of the carphone clip, 352x288."""
    return [cv2.resize(frame.image, (352, 288)) for frame in read_frames(carphone) if frame.number < 12]


@pytest.fixture(scope="module")
def portrait(astronaut: Path) -> np.ndarray:
    """The astronaut's head and shoulders, 352x288."""
    return cv2.resize(read_picture(astronaut)[:314, 40:424], (352, 288))


def follow(path: Path, **options: object) -> TrackedClip:
    with FindTracks(TrackConfig(**options)) as stage:  # type: ignore[arg-type]
        return stage(clip_of(path))


@pytest.fixture(scope="module")
def pair(caller: list[np.ndarray], portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The caller, beside him the astronaut at two thirds of the size."""
    small = cv2.resize(portrait, (235, 192))
    pictures = []
    for picture in caller:
        image = np.full((288, 640, 3), 40, np.uint8)
        image[:, :352] = picture
        image[60:252, 380:615] = small
        pictures.append(image)
    path = tmp_path_factory.mktemp("faces") / "pair.mp4"
    write_video(path, pictures, 25)
    return path


def test_all_people_have_tracks_of_their_own(pair: Path) -> None:
    caller, astronaut = follow(pair, faces="all").tracks
    assert [track.clip.identity for track in (caller, astronaut)] == ["pair", "pair~2"]
    assert (caller.index, astronaut.index) == (0, 1)
    assert len(caller) == len(astronaut) == 12
    assert caller.landmarks[..., 0].max() < 352 < astronaut.landmarks[..., 0].min()


def test_the_largest_is_the_same_track_with_or_without_the_others(pair: Path) -> None:
    (alone,) = follow(pair).tracks
    first, _ = follow(pair, faces="all").tracks
    np.testing.assert_array_equal(alone.landmarks, first.landmarks)


def test_a_clip_of_several_people_is_rejected_on_demand(pair: Path) -> None:
    with pytest.raises(InputError, match=r"pair\.mp4: 2 people") as caught:
        follow(pair, faces="reject")
    assert caught.value.reason is Reason.SEVERAL_FACES


def test_a_clip_of_one_person_is_not_rejected(carphone: Path) -> None:
    (track,) = follow(carphone, faces="reject").tracks
    assert len(track) == 120


def test_whom_most_frames_show_has_the_name_and_others_have_their_own(
    caller: list[np.ndarray], portrait: np.ndarray, tmp_path: Path
) -> None:
    """The astronaut for 6 frames, then the caller for 12: he is the clip's person though he comes second."""
    write_video(tmp_path / "two.mp4", [portrait] * 6 + caller, 25)
    tracks = follow(tmp_path / "two.mp4").tracks
    assert [(track.clip.identity, track.index, len(track)) for track in tracks] == [("two~2", 0, 6), ("two", 1, 12)]


def test_somebody_who_comes_back_has_his_name_again(
    caller: list[np.ndarray], portrait: np.ndarray, tmp_path: Path
) -> None:
    write_video(tmp_path / "back.mp4", caller[:6] + [portrait] * 6 + caller[5::-1], 25)
    tracks = follow(tmp_path / "back.mp4").tracks
    assert [track.clip.identity for track in tracks] == ["back", "back~2", "back"]


def test_a_still_of_two_people_gives_the_larger_or_both_or_none(pair: Path, tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), next(read_frames(pair)).image[..., ::-1])
    assert [track.clip.identity for track in follow(path).tracks] == ["still"]
    both = follow(path, faces="all").tracks
    assert [track.clip.identity for track in both] == ["still", "still~2"]
    assert both[0].landmarks[..., 0].max() < 352 < both[1].landmarks[..., 0].min()
    with pytest.raises(InputError) as caught:
        follow(path, faces="reject")
    assert caught.value.reason is Reason.SEVERAL_FACES


def test_a_long_track_is_cut_and_stays_one_person(carphone: Path) -> None:
    tracks = follow(carphone, max_frames=50).tracks
    assert [len(track) for track in tracks] == [50, 50, 20]
    assert {track.clip.identity for track in tracks} == {"carphone_pristine"}
    assert np.concatenate([track.numbers for track in tracks]).tolist() == list(range(120))


def test_strangers_of_two_clips_of_one_person_have_two_names() -> None:
    first = replace(clip_of("x.mp4"), identity="id10001", video="abc", clip="00001")
    second = replace(first, clip="00002")
    assert named_by_rank(first, 0) is first
    assert named_by_rank(first, 1).identity == "id10001~abc~00001~2"
    assert named_by_rank(second, 1).identity == "id10001~abc~00002~2"


@pytest.mark.parametrize("options", [{"faces": "first"}, {"max_frames": 4}])
def test_other_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        TrackConfig(**options)  # type: ignore[arg-type]


def test_real_people_after_one_another_have_two_names(shared: Path) -> None:
    tracks = find_tracks(clip_of(shared / "hard" / "identity_switch_cut.mp4"))
    by_name = {track.clip.identity: set(track.numbers.tolist()) for track in tracks}
    assert len(tracks) == len(by_name) == 2
    assert {"identity_switch_cut", "identity_switch_cut~2"} == by_name.keys()
    assert sorted(map(sorted, by_name.values())) == [list(range(38)), list(range(38, 76))]


def test_real_people_side_by_side_have_two_names(shared: Path) -> None:
    path = shared / "hard" / "two_faces_side_by_side.mp4"
    left, right = sorted(follow(path, faces="all").tracks, key=lambda track: track.landmarks[..., 0].mean())
    assert left.landmarks[..., 0].mean(1).max() < 320 < right.landmarks[..., 0].mean(1).min()
    assert {left.clip.identity, right.clip.identity} == {"two_faces_side_by_side", "two_faces_side_by_side~2"}
    assert len(left) >= 70
    assert len(right) >= 70

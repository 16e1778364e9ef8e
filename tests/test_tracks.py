"""Tracks of clips composed here out of the two public faces: who is followed, where a track ends, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.encode import write_video
from pipeline.errors import InputError, Reason
from pipeline.pictures import read_picture
from pipeline.records import Track
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig, find_tracks, track_picture
from pipeline.video import read_frames

Pictures = list[np.ndarray]


@pytest.fixture(scope="module")
def stage() -> Iterator[FindTracks]:
    with FindTracks(TrackConfig()) as stage:
        yield stage


@pytest.fixture(scope="module")
def caller(request: pytest.FixtureRequest) -> Pictures:
    """The first 30 frames of the carphone clip, 352x288."""
    frames = read_frames(request.getfixturevalue("carphone"))
    return [cv2.resize(frame.image, (352, 288)) for frame in frames if frame.number < 30]


@pytest.fixture(scope="module")
def portrait(request: pytest.FixtureRequest) -> np.ndarray:
    """The astronaut's head and shoulders, 352x288."""
    return cv2.resize(read_picture(request.getfixturevalue("astronaut"))[:314, 40:424], (352, 288))


def swaying(portrait: np.ndarray, frames: int) -> Pictures:
    return [np.roll(portrait, round(6 * np.sin(number / 3)), axis=1) for number in range(frames)]


def clip(folder: Path, pictures: Pictures, times: list[float] | float = 25.0) -> Path:
    write_video(folder / "clip.mp4", pictures, times)
    return folder / "clip.mp4"


def spans(tracks: list[Track]) -> list[tuple[int, int]]:
    for track in tracks:
        assert track.numbers.tolist() == list(range(track.numbers[0], track.numbers[-1] + 1))
    return [(int(track.numbers[0]), int(track.numbers[-1])) for track in tracks]


def yaw(track: Track) -> np.ndarray:
    """Degrees by which the face looks to the picture's right."""
    return np.degrees(np.arctan2(track.head_pose[:, 0, 2], track.head_pose[:, 2, 2]))


def test_the_carphone_clip_is_one_track_of_all_frames(carphone: Path) -> None:
    (track,) = find_tracks(clip_of(carphone))
    assert spans([track]) == [(0, 119)]
    assert (track.width, track.height, track.index) == (176, 144, 0)
    np.testing.assert_allclose(np.diff(track.times), 1001 / 30000, atol=1e-4)
    assert track.landmarks.shape == (120, 478, 3)
    assert track.landmarks.dtype == track.head_pose.dtype == np.float32
    np.testing.assert_allclose(
        track.head_pose @ track.head_pose.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (120, 3, 3)), atol=1e-5
    )
    size = np.ptp(track.landmarks[:, :, :2], axis=1).max(1)
    assert 50 < size.min() < size.max() < 80
    nose = track.landmarks[:, 1]
    assert np.abs(np.diff(nose[:, :2], axis=0)).max() < 6
    assert (nose[:, 2] < 0).all()  # nearer to the viewer than the head's middle


def test_landmarks_do_not_depend_on_what_was_tracked_before(
    tmp_path: Path, stage: FindTracks, caller: Pictures, portrait: np.ndarray
) -> None:
    path = clip(tmp_path, caller[:8])
    (first,) = stage(clip_of(path)).tracks
    stage.still(clip_of("portrait.png"), portrait)
    (second,) = stage(clip_of(path)).tracks
    assert np.array_equal(first.landmarks, second.landmarks)
    assert np.array_equal(first.head_pose, second.head_pose)


def test_a_small_face_is_followed_as_exactly_as_a_large_one(
    tmp_path: Path, stage: FindTracks, caller: Pictures
) -> None:
    """The 352x288 scene as a corner of a 1920x1080 picture, where the detector alone does not see it."""
    (near,) = stage(clip_of(clip(tmp_path, caller[:8]))).tracks
    canvas = np.full((1080, 1920, 3), (60, 90, 70), np.uint8)
    wide = [canvas.copy() for _ in range(8)]
    for picture, small in zip(wide, caller, strict=False):
        picture[500:788, 1300:1652] = small
    (far,) = stage(clip_of(clip(tmp_path, wide))).tracks
    assert spans([far]) == [(0, 7)]
    apart = np.linalg.norm(far.landmarks[..., :2] - [1300, 500] - near.landmarks[..., :2], axis=-1)
    assert np.median(apart) < 1.0  # pixels, of a face of 122
    assert np.degrees(np.arccos((np.einsum("tij,tij->t", far.head_pose, near.head_pose) - 1) / 2)).max() < 4


def test_a_cut_to_another_person_ends_the_track(
    tmp_path: Path, stage: FindTracks, caller: Pictures, portrait: np.ndarray
) -> None:
    found = stage(clip_of(clip(tmp_path, caller[:10] + swaying(portrait, 10))))
    assert spans(found.tracks) == [(0, 9), (10, 19)]
    assert [track.index for track in found.tracks] == [0, 1]
    assert (found.frames, found.fault) == (20, None)


def test_a_swinging_camera_does_not_end_the_track(tmp_path: Path, stage: FindTracks, caller: Pictures) -> None:
    sway = [0, 0, 0, 0, 0, 0, 30, 70, 70, 70, 70, 70]
    pictures = [np.roll(caller[number], shift, axis=1) for number, shift in enumerate(sway)]
    (track,) = stage(clip_of(clip(tmp_path, pictures))).tracks
    assert spans([track]) == [(0, 11)]


def test_a_long_gap_ends_the_track_and_a_short_one_does_not(
    tmp_path: Path, stage: FindTracks, caller: Pictures
) -> None:
    black = np.zeros_like(caller[0])
    gone = stage(clip_of(clip(tmp_path, caller[:6] + [black] * 20 + caller[6:12])))
    assert spans(gone.tracks) == [(0, 5), (26, 31)]
    times = [number / 25 for number in range(6)] + [0.2 + 0.7 + number / 25 for number in range(6)]
    apart = stage(clip_of(clip(tmp_path, caller[:12], times)))
    assert spans(apart.tracks) == [(0, 5), (6, 11)]
    times[6:] = [0.2 + 0.3 + number / 25 for number in range(6)]
    near = stage(clip_of(clip(tmp_path, caller[:12], times)))
    assert spans(near.tracks) == [(0, 11)]


def test_the_larger_of_two_people_is_followed_throughout(
    tmp_path: Path, stage: FindTracks, caller: Pictures, portrait: np.ndarray
) -> None:
    """The caller on the left, the astronaut on the right at two thirds of the size."""
    small = cv2.resize(portrait, (235, 192))
    pictures = []
    for picture in caller[:12]:
        pair = np.full((288, 640, 3), 40, np.uint8)
        pair[:, :352] = picture
        pair[60:252, 380:615] = small
        pictures.append(pair)
    (track,) = stage(clip_of(clip(tmp_path, pictures))).tracks
    assert spans([track]) == [(0, 11)]
    assert track.landmarks[..., 0].max() < 352


def test_no_sudden_switch_to_a_person_beside_the_one_that_vanishes(
    tmp_path: Path, stage: FindTracks, caller: Pictures, portrait: np.ndarray
) -> None:
    pictures = []
    for number, picture in enumerate(caller):
        pair = np.full((288, 704, 3), 40, np.uint8)
        pair[:, :352] = picture if number < 10 else 40
        pair[48:240, 400:635] = cv2.resize(portrait, (235, 192))
        pictures.append(pair)
    tracks = stage(clip_of(clip(tmp_path, pictures))).tracks
    assert [bool(track.landmarks[..., 0].max() < 352) for track in tracks] == [True, False]
    assert spans(tracks)[0] == (0, 9)


def test_a_face_that_walks_out_of_the_picture_ends_its_track(
    tmp_path: Path, stage: FindTracks, caller: Pictures
) -> None:
    pictures = []
    for number, picture in enumerate(caller):
        wide = np.full((288, 704, 3), 90, np.uint8)
        shift = 14 * number  # the face is 352 - 14 * number from the rim of what is cut out of it
        wide[:, : 352 - shift] = picture[:, shift:] if shift < 352 else 90
        pictures.append(np.ascontiguousarray(wide[:, :352]))
    (track,) = stage(clip_of(clip(tmp_path, pictures))).tracks
    assert 8 <= track.numbers[-1] <= 20
    middle = track.landmarks[..., 0].mean(1)
    assert (middle > -10).all()
    assert (np.diff(middle) < 0).all()


def refusal(stage: FindTracks, path: Path) -> Reason:
    with pytest.raises(InputError, match=path.name) as caught:
        stage(clip_of(path))
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_clip_without_a_face_is_refused(tmp_path: Path, stage: FindTracks) -> None:
    rng = np.random.default_rng(0)
    drawn = [cv2.blur(rng.integers(0, 255, (240, 320, 3), np.uint8), (9, 9)) for _ in range(8)]
    assert refusal(stage, clip(tmp_path, drawn)) is Reason.NO_FACE


def test_a_face_below_the_smallest_size_is_refused(tmp_path: Path, stage: FindTracks, caller: Pictures) -> None:
    tiny = [cv2.resize(picture, (88, 72), interpolation=cv2.INTER_AREA) for picture in caller[:8]]
    assert refusal(stage, clip(tmp_path, tiny)) is Reason.FACE_TOO_SMALL
    with FindTracks(TrackConfig(min_face=20)) as patient:
        assert len(patient(clip_of(clip(tmp_path, tiny))).tracks[0]) == 8


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_on_its_side_or_head_is_refused(
    tmp_path: Path, stage: FindTracks, caller: Pictures, quarters: int
) -> None:
    turned = [np.ascontiguousarray(np.rot90(picture, quarters)) for picture in caller[:8]]
    assert refusal(stage, clip(tmp_path, turned)) is Reason.FACE_ROLLED


def test_a_clip_of_few_frames_is_refused(tmp_path: Path, stage: FindTracks, caller: Pictures) -> None:
    assert refusal(stage, clip(tmp_path, caller[:3])) is Reason.TOO_SHORT


def test_a_damaged_clip_keeps_its_good_frames_and_names_the_fault(
    tmp_path: Path, stage: FindTracks, caller: Pictures
) -> None:
    path = clip(tmp_path, caller)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 7 // 10])
    found = stage(clip_of(path))
    assert found.fault is not None
    assert found.fault.reason is Reason.TRUNCATED
    assert 8 <= found.frames < 30
    assert spans(found.tracks) == [(0, found.frames - 1)]


def test_a_portrait_is_a_track_of_one_frame(astronaut: Path) -> None:
    image = read_picture(astronaut)
    track = track_picture(image, str(astronaut))
    assert (len(track), track.numbers.tolist(), track.times.tolist()) == (1, [0], [0.0])
    assert (track.clip.identity, track.width, track.height) == ("astronaut", 512, 512)
    one_pupil, other_pupil, chin = track.landmarks[0, [468, 473, 152], :2]  # by eye, from an enlargement:
    np.testing.assert_allclose(one_pupil, [203, 101], atol=1.5)
    np.testing.assert_allclose(other_pupil, [246, 103], atol=1.5)
    np.testing.assert_allclose(chin, [221, 178], atol=4)


def test_head_pose_turns_with_the_head(carphone: Path) -> None:
    """At the end of the clip the man looks to the right of the picture, his head tilted to its left."""
    *_, last = read_frames(carphone)
    right, left = track_picture(last.image), track_picture(np.ascontiguousarray(last.image[:, ::-1]))
    assert 4 < yaw(right)[0] < 15
    assert yaw(left)[0] == pytest.approx(-yaw(right)[0], abs=4)
    assert right.head_pose[0, 1, 0] > 0.15  # the canonical x axis climbs
    assert left.head_pose[0, 1, 0] < -0.15


@pytest.mark.parametrize("quarters", [1, 2])
def test_a_portrait_on_its_side_or_head_is_refused(astronaut: Path, quarters: int) -> None:
    with pytest.raises(InputError, match=r"photo\.png: the face is turned") as caught:
        track_picture(np.ascontiguousarray(np.rot90(read_picture(astronaut), quarters)), "photo.png")
    assert caught.value.reason is Reason.FACE_ROLLED


@pytest.mark.parametrize("option", ["min_face", "min_frames", "max_gap", "max_roll"])
def test_limits_must_be_positive(option: str) -> None:
    with pytest.raises(ValueError, match=option):
        TrackConfig(**{option: 0})

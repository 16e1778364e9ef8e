"""Crops on pictures small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.crop import (
    LANDMARKS_68,
    CropConfig,
    FaceBox,
    Window,
    crop_track,
    cut_window,
    encoder_crop,
    face_box,
    final_crop,
    similarity,
    track_window,
    transform_points,
    whole_picture,
    window_transform,
)
from pipeline.errors import InputError, Reason
from pipeline.records import Clip, Frame, Track


def face_points(left: float, top: float, right: float, bottom: float) -> NDArray[np.float32]:
    """478 points of which the 68-point ones span exactly that box; the others lie far outside."""
    points = np.full((478, 3), -1000, np.float32)
    points[list(LANDMARKS_68)] = [(left + right) / 2, (top + bottom) / 2, 4]
    points[LANDMARKS_68[0], :2] = left, top
    points[LANDMARKS_68[16], :2] = right, bottom
    return points


def track_of(landmarks: NDArray[np.float32], numbers: list[int], path: str = "clip.mp4") -> Track:
    count = len(numbers)
    return Track(
        clip=Clip(path=path, identity="clip", video="", clip=""),
        index=0,
        width=400,
        height=300,
        numbers=np.array(numbers),
        times=np.array(numbers) / 25,
        landmarks=landmarks,
        head_pose=np.broadcast_to(np.eye(3, dtype=np.float32), (count, 3, 3)),
    )


def drawn_frames(count: int) -> Iterator[Frame]:
    """400x300 pictures, each of the grey level of its number."""
    for number in range(count):
        yield Frame(number=number, time=number / 25, image=np.full((300, 400, 3), number, np.uint8))


def test_similarity_turns_scales_and_shifts_exactly() -> None:
    source = np.array([(0, 0), (1, 0), (0, 1), (2, 3)])
    quarter_turn = np.array([(0, -2), (2, 0)])
    matrix = similarity(source, source @ quarter_turn.T + [5, 7])
    np.testing.assert_allclose(matrix, [[0, -2, 5], [2, 0, 7], [0, 0, 1]], atol=1e-12)


def test_similarity_never_mirrors() -> None:
    source = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])
    assert np.linalg.det(similarity(source, source * [-1, 1])[:2, :2]) >= 0


def test_box_is_the_bounds_of_the_points() -> None:
    assert face_box(np.array([(3, 9, 0), (1, 5, 0), (2, 7, 8)])) == FaceBox(1, 3, 5, 9)


def test_a_picture_without_a_face_is_a_box_of_its_own_sides() -> None:
    assert whole_picture(640, 480) == FaceBox(0, 639, 0, 479)


def test_published_crops_of_a_box_of_side_100() -> None:
    box = FaceBox(100, 200, 50, 150)  # base 110: sizes int(137.5) = 137 and int(148.5) = 148
    corners = np.array([(150 - 68.5, 100 - 68.5), (150 + 68.5, 100 + 68.5)])
    np.testing.assert_allclose(transform_points(corners, encoder_crop(box)), [(0, 0), (224, 224)], atol=1e-9)
    corners = np.array([(150 - 74, 100 - 88.8), (150 + 74, 100 + 59.2)])
    np.testing.assert_allclose(transform_points(corners, final_crop(box, 256, 256)), [(0, 0), (255, 255)], atol=1e-9)


def test_points_scale_in_depth_as_in_the_picture() -> None:
    matrix = np.array([[2.0, 0, 1], [0, 2, -1], [0, 0, 1]])
    np.testing.assert_allclose(transform_points(np.array([[(3.0, 4, 5)]]), matrix[None]), [[(7, 7, 10)]])


def test_track_window_is_framed_like_the_published_crop() -> None:
    window = track_window(face_points(100, 50, 200, 150)[None])
    assert window == Window(76, 11, 149)  # 148.5 rounded up; 150 - 74.5 and 100 - 89.4


def test_track_window_holds_a_face_that_wanders() -> None:
    start = face_points(100, 50, 200, 150)
    wander = np.stack([start + np.float32([6 * t, 0, 0]) for t in range(200)])
    window = track_window(wander)
    box = wander[2:-2, LANDMARKS_68, 0]
    assert window.left < box.min()
    assert window.left + window.side > box.max()


def test_track_window_holds_a_tall_face_down_to_the_chin() -> None:
    window = track_window(face_points(100, 50, 130, 150)[None])
    assert window.top < 50
    assert window.top + window.side >= 150


def test_one_stray_frame_does_not_move_the_window() -> None:
    steady = np.repeat(face_points(100, 50, 200, 150)[None], 300, axis=0)
    stray = steady.copy()
    stray[150, :, :2] += 200
    assert track_window(stray) == track_window(steady)


def test_window_within_the_picture_at_its_own_size_is_a_plain_cut() -> None:
    image = np.arange(40 * 50 * 3, dtype=np.uint64).reshape(40, 50, 3).astype(np.uint8)
    np.testing.assert_array_equal(cut_window(image, Window(7, 3, 32), 32), image[3:35, 7:39])


def test_window_past_the_rim_is_black_there() -> None:
    image = np.full((10, 10, 3), 200, np.uint8)
    crop = cut_window(image, Window(-4, 6, 8), 8)
    assert (crop[:4, 4:] == 200).all()
    assert (crop[4:] == 0).all()
    assert (crop[:, :4] == 0).all()


def test_window_outside_the_picture_is_black() -> None:
    image = np.full((10, 10, 3), 200, np.uint8)
    for window in (Window(20, 0, 8), Window(0, 20, 8), Window(-20, 0, 8), Window(0, -20, 8)):
        assert (cut_window(image, window, 8) == 0).all()


def test_shrinking_averages_fine_stripes_to_grey() -> None:
    image = np.zeros((80, 80, 3), np.uint8)
    image[:, ::2] = 200
    assert (cut_window(image, Window(0, 0, 80), 20) == 100).all()


def test_transform_of_a_window_takes_its_edges_to_the_crops_edges() -> None:
    corners = np.array([(10, 20), (74, 84)])
    np.testing.assert_allclose(transform_points(corners, window_transform(Window(10, 20, 64), 32)), [(0, 0), (32, 32)])


def test_landmarks_and_picture_move_together() -> None:
    """A white square around a landmark stays around it, whatever the window's scale."""
    landmarks = face_points(100, 50, 200, 150)[None]
    landmarks[0, 4, :2] = 160, 120
    image = np.zeros((300, 400, 3), np.uint8)
    image[112:128, 152:168] = 255  # edges at 160 -+ 8, 120 -+ 8
    for size in (32, 100, 149, 256, 400):
        crops = crop_track(track_of(landmarks, [0]), [Frame(number=0, time=0.0, image=image)], size)
        weight = crops.images[0, :, :, 0].astype(float)
        rows, columns = np.indices(weight.shape) + 0.5
        centre = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
        np.testing.assert_allclose(crops.landmarks[0, 4, :2], centre, atol=0.05)


def test_only_the_tracks_frames_are_cropped_in_order() -> None:
    numbers = [3, 4, 7]
    landmarks = np.repeat(face_points(100, 50, 200, 150)[None], 3, axis=0)
    crops = crop_track(track_of(landmarks, numbers), drawn_frames(10), 64)
    assert crops.images.shape == (3, 64, 64, 3)
    assert crops.images[:, 32, 32, 0].tolist() == numbers
    assert crops.transforms.shape == (3, 3, 3)
    assert crops.landmarks.shape == (3, 478, 3)


def test_frames_after_the_track_are_not_decoded() -> None:
    frames = drawn_frames(10)
    crop_track(track_of(face_points(100, 50, 200, 150)[None], [3]), frames, 64)
    assert next(frames).number == 4


def test_a_clip_that_ends_before_its_track_is_truncated() -> None:
    landmarks = np.repeat(face_points(100, 50, 200, 150)[None], 2, axis=0)
    with pytest.raises(InputError, match=r"clip\.mp4: the video ends before frame 12") as error:
        crop_track(track_of(landmarks, [3, 12]), drawn_frames(10), 64)
    assert error.value.reason is Reason.TRUNCATED


def test_sizes_too_small_for_a_face_are_refused() -> None:
    with pytest.raises(ValueError, match="size must be at least 32"):
        CropConfig(size=16)


def moving_track(width: int = 96, height: int = 64, count: int = 3) -> tuple[Track, list[Frame]]:
    """A face that moves to the right, 8 pixels a frame, over a ramp."""
    rng = np.random.default_rng(0)
    face = rng.uniform(0, 20, (478, 3)) + np.array([20, 20, 0])
    landmarks = np.stack([face + np.array([8 * frame, 0, 0]) for frame in range(count)]).astype(np.float32)
    ramp = np.broadcast_to(np.arange(width, dtype=np.uint8)[None, :, None] * 2, (height, width, 3)).copy()
    track = Track(
        clip=Clip(path="a.mp4", identity="a", video="b", clip="c"),
        index=0,
        width=width,
        height=height,
        numbers=np.arange(count),
        times=np.arange(count) / 25,
        landmarks=landmarks,
        head_pose=np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
    )
    return track, [Frame(number=number, time=number / 25, image=ramp) for number in range(count)]


def test_a_crop_a_frame_goes_with_the_face_and_its_transform_says_where_from() -> None:
    track, frames = moving_track()
    crops = crop_track(track, frames, 64, mode="frame")
    np.testing.assert_allclose(crops.landmarks, np.broadcast_to(crops.landmarks[0], crops.landmarks.shape), atol=1e-3)
    for row in range(3):
        x, _, _ = np.linalg.inv(crops.transforms[row]) @ [32.5, 32.5, 1]
        assert crops.images[row, 32, 32, 0] == pytest.approx(2 * (x - 0.5), abs=2)


def test_no_crop_is_the_whole_picture_with_black_beside_it() -> None:
    track, frames = moving_track()
    crops = crop_track(track, frames, 96, mode="none")
    np.testing.assert_array_equal(crops.images[0, 16:80], frames[0].image)
    assert not crops.images[0, :16].any()
    assert not crops.images[0, 80:].any()
    np.testing.assert_allclose(crops.landmarks[..., :2], track.landmarks[..., :2] + np.array([0, 16]), atol=1e-3)

"""Tracks of annotated parts of a video, with two people in it; tracks of stills and of folders."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.clips import read_clip
from pipeline.crop import CropConfig, CropTrack
from pipeline.encode import write_video
from pipeline.errors import InputError, Reason
from pipeline.records import Boxes, Clip, Frame, Span
from pipeline.sources import clip_of
from pipeline.tracks import find_tracks
from pipeline.video import read_frames

FRAMES = 12
WIDTH = 176
"""Of one person's half of the picture."""


@pytest.fixture(scope="module")
def pictures(carphone: Path) -> list[np.ndarray]:
    """The man, and beside him his mirror image."""
    images = [frame.image for frame in islice(read_frames(carphone), FRAMES)]
    return [np.concatenate([image, image[:, ::-1]], axis=1) for image in images]


@pytest.fixture(scope="module")
def two_people(pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tracks") / "two.mp4"
    write_video(path, pictures, 25)
    return path


@pytest.fixture(scope="module")
def faces(carphone: Path) -> np.ndarray:
    """The man's boxes, (FRAMES, 4) pixels of his own picture, as tight around the face as annotations are."""
    clip = replace(clip_of(carphone), span=Span.of_frames(0, FRAMES, 30000 / 1001))
    points = find_tracks(clip)[0].landmarks[..., :2]
    return np.concatenate([points.min(1), points.max(1)], axis=1)


def annotated(path: Path, sides: np.ndarray, first: int, end: int) -> Clip:
    boxes = Boxes(times=np.arange(FRAMES) / 25, sides=sides.astype(np.float32), width=2 * WIDTH, height=144)
    return replace(clip_of(path), span=Span.of_frames(first, end, 25), boxes=boxes, annotation="00001.txt")


def mirrored(sides: np.ndarray) -> np.ndarray:
    left, top, right, bottom = sides.T
    return np.stack([2 * WIDTH - right, top, 2 * WIDTH - left, bottom], axis=1)


def test_only_the_person_in_the_box_is_followed_and_only_in_the_span(two_people: Path, faces: np.ndarray) -> None:
    """Of two faces of one size, either one, by its boxes; the crops show him."""
    left, right = annotated(two_people, faces, 2, 10), annotated(two_people, mirrored(faces), 2, 10)
    tracks = [track for clip in (left, right) for track in find_tracks(clip)]
    assert [track.numbers.tolist() for track in tracks] == [list(range(2, 10))] * 2
    for track, sides in zip(tracks, (faces, mirrored(faces)), strict=True):
        points = track.landmarks[..., :2]
        found = np.concatenate([points.min(1), points.max(1)], axis=1)
        assert np.abs(found - sides[2:10]).max() < 6
    crops = [CropTrack(CropConfig(size=64))(track).images for track in tracks]
    assert crops[0].shape == (8, 64, 64, 3)
    assert np.abs(crops[0] - crops[1][:, :, ::-1].astype(int)).mean() < 8


def test_nobody_outside_the_box_is_taken_where_it_is_empty(two_people: Path, faces: np.ndarray) -> None:
    between = annotated(two_people, np.tile([WIDTH - 20, 0, WIDTH + 20, 40], (FRAMES, 1)), 0, FRAMES)
    with pytest.raises(InputError) as caught:
        find_tracks(between)
    assert caught.value.reason == Reason.NO_FACE


def test_a_face_that_reaches_into_the_margin_is_not_the_one_in_the_box(two_people: Path, faces: np.ndarray) -> None:
    beside = faces + 0.53 * (faces[:, 2] - faces[:, 0])[:, None] * [1, 0, 1, 0]
    with pytest.raises(InputError) as caught:
        find_tracks(annotated(two_people, beside, 0, FRAMES))
    assert caught.value.reason == Reason.NO_FACE


def test_a_span_past_the_end_keeps_its_good_part_and_names_the_annotation(two_people: Path, faces: np.ndarray) -> None:
    clip = annotated(two_people, faces, 4, 40)
    with pytest.raises(InputError) as caught:
        list(read_clip(clip))
    assert caught.value.reason == Reason.BAD_ANNOTATION
    (track,) = find_tracks(clip)
    assert track.numbers.tolist() == list(range(4, FRAMES))


def test_a_still_file_is_a_track_of_one_frame(astronaut: Path) -> None:
    (track,) = find_tracks(clip_of(astronaut))
    assert (track.numbers.tolist(), track.times.tolist()) == ([0], [0.0])
    crops = CropTrack(CropConfig())(track)
    assert crops.images.shape == (1, 256, 256, 3)


def test_a_folder_of_frames_gives_the_track_of_its_video(carphone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "id10001#abcdefghijk#000000#000012.mp4"
    folder.mkdir()
    frames: list[Frame] = list(islice(read_frames(carphone), FRAMES))
    for frame in frames:
        Image.fromarray(frame.image).save(folder / f"{frame.number:07d}.png")
    clip = clip_of(folder)
    (track,) = find_tracks(clip)
    assert track.numbers.tolist() == list(range(FRAMES))
    assert track.times == pytest.approx(np.arange(FRAMES) / 25)
    (same,) = find_tracks(replace(clip_of(carphone), span=Span.of_frames(0, FRAMES, 30000 / 1001)))
    assert np.abs(track.landmarks - same.landmarks)[..., :2].max() < 1

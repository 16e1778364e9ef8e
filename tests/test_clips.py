"""The frames that a clip means: spans and boxes of drawn videos, stills and folders of pictures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.clips import read_clip
from pipeline.encode import write_video
from pipeline.errors import InputError, Reason
from pipeline.records import Boxes, Clip, Frame, Kind, Span

BRIGHTNESS = range(40, 240, 8)
"""Of the pictures of the drawn video."""


def make_clip(path: Path, kind: Kind = Kind.VIDEO, span: Span | None = None, boxes: Boxes | None = None) -> Clip:
    names = {"identity": "ann", "video": "video", "clip": "clip"}
    return Clip(path=str(path), kind=kind, span=span, boxes=boxes, annotation="list.csv:7", **names)


def read_all(clip: Clip) -> tuple[list[Frame], InputError | None]:
    frames: list[Frame] = []
    try:
        frames.extend(read_clip(clip))
    except InputError as error:
        return frames, error
    return frames, None


def numbers(frames: list[Frame]) -> list[int]:
    return [frame.number for frame in frames]


def draw(path: Path, value: int, size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 pictures at 25 frames a second, 96x64, each brighter than the one before."""
    path = tmp_path_factory.mktemp("clips") / "video.mp4"
    write_video(path, (np.full((64, 96, 3), value, np.uint8) for value in BRIGHTNESS), 25)
    return path


def test_without_a_span_all_of_the_video_is_meant(video: Path) -> None:
    frames, error = read_all(make_clip(video))
    assert numbers(frames) == list(range(25))
    assert error is None


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span.of_frames(5, 12, 25), range(5, 12)),
        (Span.of_frames(0, 25, 25), range(25)),
        (Span(0.2, 0.48), range(5, 12)),
        (Span(0.81, 1.0), range(21, 25)),
        (Span(0.9, float("inf")), range(23, 25)),
    ],
)
def test_a_span_gives_its_frames_with_the_numbers_and_times_of_the_file(
    video: Path, span: Span, expected: range
) -> None:
    frames, error = read_all(make_clip(video, span=span))
    assert error is None
    assert numbers(frames) == list(expected)
    assert [frame.time for frame in frames] == pytest.approx([number / 25 for number in expected], abs=1e-4)
    assert [frame.image.mean() for frame in frames] == pytest.approx([BRIGHTNESS[n] for n in expected], abs=3)


def test_a_span_counts_from_the_first_picture_whatever_its_time_stamp(video: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mp4"
    write_video(late, (np.full((64, 96, 3), value, np.uint8) for value in BRIGHTNESS), [3 + n / 25 for n in range(25)])
    frames, error = read_all(make_clip(late, span=Span.of_frames(5, 12, 25)))
    assert error is None
    assert [frame.image.mean() for frame in frames] == pytest.approx([BRIGHTNESS[n] for n in range(5, 12)], abs=3)


@pytest.mark.parametrize(("span", "good"), [(Span.of_frames(20, 30, 25), range(20, 25)), (Span(2, 3), range(0))])
def test_a_span_past_the_end_names_its_annotation_after_the_good_frames(video: Path, span: Span, good: range) -> None:
    frames, error = read_all(make_clip(video, span=span))
    assert numbers(frames) == list(good)
    assert error is not None
    assert error.reason == Reason.BAD_ANNOTATION
    assert error.message.startswith("list.csv:7: ")
    assert f"{video}, which ends at 1.00 s" in error.message
    assert f"wants {math.ceil(span.start * 25) / 25:.2f} to {math.ceil(span.end * 25) / 25:.2f} s of" in error.message


def test_damage_behind_the_span_is_not_met(tmp_path: Path) -> None:
    folder = tmp_path / "frames.mp4"
    for number in range(3):
        draw(folder / f"{number:07d}.png", 100)
    (folder / "0000003.png").write_bytes(b"broken")
    frames, error = read_all(make_clip(folder, Kind.FRAMES, Span.of_frames(0, 3, 25)))
    assert (len(frames), error) == (3, None)
    frames, error = read_all(make_clip(folder, Kind.FRAMES, Span.of_frames(0, 4, 25)))
    assert (len(frames), error and error.reason) == (3, Reason.UNREADABLE)


def test_each_frame_has_the_box_that_is_nearest_in_time(video: Path) -> None:
    boxes = Boxes(
        times=np.array([0.0, 0.4]), sides=np.array([[0, 0, 0.5, 1], [0.5, 0, 1.25, 1]], np.float32), width=1, height=1
    )
    frames, _ = read_all(make_clip(video, boxes=boxes))
    found = [None if frame.box is None else frame.box.tolist() for frame in frames]
    assert found == [[0, 0, 48, 64]] * 6 + [[48, 0, 96, 64]] * 19
    in_span, _ = read_all(make_clip(video, span=Span.of_frames(4, 8, 25), boxes=boxes))
    assert [frame.box is not None and frame.box.tolist() for frame in in_span] == found[4:8]


def test_a_still_is_one_frame(tmp_path: Path) -> None:
    draw(tmp_path / "still.png", 77)
    ((frame,), error) = read_all(make_clip(tmp_path / "still.png", Kind.PICTURE))
    assert error is None
    assert (frame.number, frame.time, frame.image.shape) == (0, 0.0, (8, 12, 3))
    assert (frame.image == 77).all()


def test_pictures_of_a_folder_come_in_order_at_25_a_second(tmp_path: Path) -> None:
    folder = tmp_path / "clip.mp4"
    for number in (10, 2, 1, 0):
        draw(folder / f"{number}.png", number)
    (folder / "notes.txt").write_text("no picture")
    (folder / "._0.png").write_bytes(b"no picture either")
    frames, error = read_all(make_clip(folder, Kind.FRAMES))
    assert error is None
    assert [(frame.number, frame.time, int(frame.image[0, 0, 0])) for frame in frames] == [
        (0, 0.0, 0),
        (1, 0.04, 1),
        (2, 0.08, 2),
        (3, 0.12, 10),
    ]


def test_pictures_of_a_training_folder_have_the_numbers_in_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    for number in (50, 51, 54):
        draw(folder / f"{number:07d}_img.jpg", 2 * number)
    draw(folder / "preview.jpg", 0)
    frames, error = read_all(make_clip(folder, Kind.GDPW_FOLDER))
    assert error is None
    assert [(frame.number, frame.time) for frame in frames] == [(50, 2.0), (51, 2.04), (54, 2.16)]
    assert [frame.image.mean() for frame in frames] == pytest.approx([100, 102, 108], abs=1)


@pytest.mark.parametrize(
    ("names", "kind", "problem"),
    [
        ((), Kind.FRAMES, "no picture in this folder"),
        (("preview.jpg",), Kind.GDPW_FOLDER, "no picture NUMBER_img.jpg"),
        (("first_img.jpg",), Kind.GDPW_FOLDER, "is named NUMBER_img.jpg"),
        (("1_img.jpg", "01_img.jpg"), Kind.GDPW_FOLDER, "each once"),
    ],
)
def test_folders_that_cannot_be_used_are_named(
    tmp_path: Path, names: tuple[str, ...], kind: Kind, problem: str
) -> None:
    for name in names:
        draw(tmp_path / name, 0)
    frames, error = read_all(make_clip(tmp_path, kind))
    assert frames == []
    assert error is not None
    assert (error.reason, str(tmp_path) in error.message) == (Reason.UNREADABLE, True)
    assert problem in error.message


def test_a_picture_of_another_size_ends_the_folder(tmp_path: Path) -> None:
    draw(tmp_path / "0.png", 0)
    draw(tmp_path / "1.png", 0, size=(14, 8))
    frames, error = read_all(make_clip(tmp_path, Kind.FRAMES))
    assert len(frames) == 1
    assert error is not None
    assert "1.png: its size is not" in error.message


def test_a_missing_folder_is_unreadable(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "gone.mp4", Kind.FRAMES)
    for missing in (clip, replace(clip, kind=Kind.GDPW_FOLDER)):
        error = read_all(missing)[1]
        assert error is not None
        assert error.reason == Reason.UNREADABLE

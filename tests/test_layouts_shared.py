"""Real sets and annotation files: identities, clips and counts as their index says."""

from __future__ import annotations

import csv
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.annotations import read_annotations, read_metadata
from pipeline.errors import Reason
from pipeline.people import read_people
from pipeline.records import Clip, Kind
from pipeline.sources import Scan, scan


@pytest.fixture(scope="module")
def layouts(shared: Path) -> Path:
    return shared / "voxceleb_layout"


@pytest.fixture(scope="module")
def index(layouts: Path) -> list[dict[str, str]]:
    with (layouts / "layout.csv").open() as file:
        return list(csv.DictReader(file))


def places(found: Scan, root: Path) -> dict[str, Clip]:
    clips = {Path(clip.path).relative_to(root).as_posix(): clip for clip in found}
    assert len(clips) == len(found)
    return clips


def shown_frames(clip: Clip) -> int:
    """Of an upload with 25 frames a second."""
    assert clip.span is not None
    return sum(clip.span.start <= number / 25 < clip.span.end for number in range(1000))


@pytest.mark.parametrize(
    ("folder", "kind", "count"),
    [
        ("vox2", "vox2 utterance", 15),
        ("video_preprocessing", "video-preprocessing clip", 16),
        ("video_preprocessing_png", "video-preprocessing png folder", 1),
    ],
)
def test_crops_are_named_as_the_index_says(
    layouts: Path, index: list[dict[str, str]], folder: str, kind: str, count: int
) -> None:
    rows = {row["path"]: row for row in index if row["kind"] == kind}
    found = scan(layouts / folder)
    clips = places(found, layouts)
    assert clips.keys() == rows.keys()
    assert len(clips) == count
    assert found.faults == []
    for path, clip in clips.items():
        assert (clip.identity, clip.video) == (rows[path]["person_id"], rows[path]["video_id"])
        assert clip.split == ("test" if "/test/" in path else "train")
        assert (clip.span, clip.boxes) == (None, None)
        if folder != "vox2":
            start, end = int(rows[path]["start_frame_25fps"]), int(rows[path]["end_frame_25fps"])
            assert clip.clip == f"{start:06d}#{end:06d}"
            assert end - start == int(rows[path]["frames"])
        else:
            assert clip.clip == Path(path).stem
    assert {clip.kind for clip in found} == {Kind.FRAMES if "png" in folder else Kind.VIDEO}


UPLOADS = {
    "_aocRetlk02": ("id19003", 125, "train"),
    "t_dafoe7201": ("id19006", 82, "test"),
    "t_retalk101": ("id19007", 150, "test"),
    "t_lp13_port": ("id19008", 175, "test"),
}


@pytest.mark.parametrize(
    ("folder", "metadata", "missing"),
    [
        ("vox1", None, 6),
        ("raw", "vox1", 6),
        ("raw", "vox2", 6),
        ("raw", "video_preprocessing/vox-metadata.csv", 6),
        ("video_preprocessing", "video_preprocessing/vox-metadata.csv", 6),
    ],
)
def test_annotations_are_cut_out_of_the_uploads(layouts: Path, folder: str, metadata: str | None, missing: int) -> None:
    found = scan(layouts / folder, metadata=metadata and layouts / metadata)
    assert {clip.video: (clip.identity, shown_frames(clip), clip.split) for clip in found} == UPLOADS
    assert {Path(clip.path).parent.resolve() for clip in found} == {(layouts / "raw").resolve()}
    assert [fault.reason for fault in found.faults] == [Reason.MISSING_VIDEO] * missing


def test_the_three_annotations_see_the_same_face(layouts: Path) -> None:
    """VoxCeleb1 in pixels at a height of 360, VoxCeleb2 in fractions; the crop of vox-metadata.csv is about them."""
    times = np.array([2.0])
    boxes = {}
    for metadata in ("vox1", "vox2", "video_preprocessing/vox-metadata.csv"):
        (clip,) = (c for c in scan(layouts / "raw", metadata=layouts / metadata) if c.video == "t_lp13_port")
        assert clip.boxes is not None
        boxes[metadata] = clip.boxes.in_picture(times, 720, 1280)[0]
    vox1, vox2, crop = boxes.values()
    np.testing.assert_allclose(vox1, vox2, atol=4)  # the rounding of whole pixels at a height of 360
    np.testing.assert_allclose((vox1[:2] + vox1[2:]) / 2, (crop[:2] + crop[2:]) / 2, atol=40)


def test_all_layouts_side_by_side_lose_and_double_nothing(layouts: Path, index: list[dict[str, str]]) -> None:
    """Every media file is one clip; the uploads are cut by the text files of VoxCeleb1, which have no crops."""
    found = scan(layouts)
    assert places(found, layouts).keys() == {row["path"] for row in index}
    assert len({(clip.identity, clip.video, clip.clip) for clip in found}) == len(found) == 36
    assert {clip.identity for clip in found} == {f"id1900{number}" for number in range(1, 10)}


def test_every_hard_media_file_is_an_input(shared: Path) -> None:
    with (shared / "hard" / "hard.csv").open() as file:
        media = {row["file"] for row in csv.DictReader(file) if row["kind"] != "annotation"}
    clips = places(scan(shared / "hard"), shared / "hard")
    assert clips.keys() == media
    assert len(clips) == 62
    for name, clip in clips.items():
        assert clip.identity == clip.video == Path(name).stem
    kinds = Counter(clip.kind for clip in clips.values())
    assert kinds == {Kind.VIDEO: 49, Kind.PICTURE: 12, Kind.FRAMES: 1}


def test_the_complete_metadata_of_voxceleb_is_read_at_once(shared: Path) -> None:
    start = time.process_time()
    found = read_metadata(shared / "annotations" / "vox-metadata.csv")
    assert time.process_time() - start < 2
    assert found.repeated == 308
    assert [(fault.line, fault.problem) for fault in found.faults] == [
        (5070, "the clip of line 142 again, with another split"),
        (5071, "the clip of line 143 again, with another split"),
        (5082, "the clip of line 1649 again, with another split"),
    ]
    assert len(found.clips) == 20_075 - 308 - 3
    assert len({clip.identity for clip in found.clips}) == 435
    assert len({clip.video for clip in found.clips}) == 3_442
    lengths = [round((clip.span.end - clip.span.start) * 25) for clip in found.clips]
    assert (min(lengths), max(lengths)) == (64, 1024)
    assert sum(clip.boxes.reaching_past() for clip in found.clips) == 856  # 866 less 10 that are repeated


def test_the_bad_metadata_is_named_row_by_row(layouts: Path, shared: Path) -> None:
    path = shared / "hard" / "vox-metadata_bad.csv"
    found = scan(layouts / "raw", metadata=path)
    assert [str(fault) for fault in found.faults] == [
        f"{path}:4: end 20 is not after start 60",
        f"{path}:7: bbox 625-18-198-445 is empty: its sides are left-top-right-bottom",
        f"{path}:8: bbox is '198-18-625', not left-top-right-bottom",
        f"{path}:9: the clip of line 6 again, with another box",
        f"{path}:10: fps is '0', not a number above 0",
        f"{path}:11: width is '', not a number above 0",
        f"{path}:12: start is '25.0', not a whole number",
        f"{path}:14: 7 cells under 9 headings",
        f"{path}:13: no video notThereAt1 below the input or a folder raw above it",
    ]
    assert [(clip.identity, clip.clip, clip.annotation) for clip in found] == [
        ("id19006", "000000#000082", f"{path}:2"),
        ("id19006", "000000#009999", f"{path}:5"),  # that the video ends before is seen when it is read
        ("id19007", "000000#000150", f"{path}:6"),
    ]
    assert found.notes == [
        "rows merged that say the same as one before: 1",
        "boxes that reach past the picture, cut off there: 1",
    ]


def test_the_bad_text_files_are_named_and_their_whole_rows_used(layouts: Path, shared: Path) -> None:
    folder = shared / "hard" / "txt_bad"
    found = scan(layouts / "raw", metadata=folder)
    assert [str(fault) for fault in found.faults] == [
        f"{folder}/cut_row.txt:16: 2 of the 5 numbers FRAME X Y W H",
        f"{folder}/no_rows.txt: no usable row in it; the clip is left out",
    ]
    assert {clip.clip: shown_frames(clip) for clip in found} == {"box_outside": 10, "crlf": 13, "cut_row": 8}
    assert found.notes == ["boxes that reach past the picture, cut off there: 10"]


def test_published_text_files_are_read(shared: Path) -> None:
    vox1 = read_annotations(shared / "annotations" / "txt_vox1_excerpt")
    vox2 = read_annotations(shared / "annotations" / "txt_vox2_excerpt")
    assert vox1.faults == vox2.faults == []
    assert [(clip.identity, clip.video, len(clip.boxes.times)) for clip in vox1.clips + vox2.clips] == [
        ("id10661", "lSI69L4DidQ", 4),
        ("id00012", "_raOc3-IRsw", 2),
        ("id00017", "7t6lfzvVaTM", 2),
    ]
    assert [clip.boxes.height for clip in vox1.clips + vox2.clips] == [360, 1, 1]


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("vox1_meta_tab_excerpt.csv", {"train": 12, "test": 2}),
        ("vox1_meta_comma_crlf.csv", {"train": 359, "test": 40}),
        ("vox2_meta.csv", {"train": 393, "test": 6}),
    ],
)
def test_published_tables_of_people_are_read(shared: Path, name: str, splits: dict[str, int]) -> None:
    people, faults = read_people(shared / "annotations" / name)
    assert faults == []
    assert Counter(people.values()) == splits

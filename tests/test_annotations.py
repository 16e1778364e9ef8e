"""Published annotation formats, row by row; what cannot be used is named with its line, the rest is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.annotations import is_annotation, read_annotations, read_metadata, read_text
from pipeline.errors import Fault, PipelineError, Reason
from pipeline.people import is_table_of_people, read_people
from pipeline.records import Boxes, Span
from pipeline.sources import scan

HEADINGS = "video_id,start,end,bbox,fps,width,height,partition,person_id"
GOOD = "abcdefghijk,50,100,100-20-300-220,25,1280,720,train,id10001"
HEAD = "Identity  : \tid00012\nReference : \t_raOc3-IRsw\nOffset    : \t2\nFV Conf   : \t20.230\t(1)\n\n" + (
    "FRAME \tX \tY \tW \tH \n"
)


def table(tmp_path: Path, *rows: str, headings: str = HEADINGS) -> Path:
    path = tmp_path / "vox-metadata.csv"
    path.write_text("\n".join((headings, *rows)) + "\n")
    return path


def text(tmp_path: Path, *rows: str, head: str = HEAD, name: str = "00001.txt") -> Path:
    path = tmp_path / name
    path.write_text(head + "\n".join(rows))
    return path


def problems(faults: list[Fault]) -> list[tuple[int | None, str]]:
    assert all(fault.reason == Reason.BAD_ANNOTATION for fault in faults)
    return [(fault.line, fault.problem) for fault in faults]


def test_a_row_is_a_clip_with_one_box_in_the_uploads_pixels(tmp_path: Path) -> None:
    path = table(tmp_path, GOOD)
    (clip,) = read_metadata(path).clips
    assert (clip.identity, clip.video, clip.clip, clip.split) == ("id10001", "abcdefghijk", "000050#000100", "train")
    assert clip.place == f"{path}:2"
    assert clip.span == Span(49.5 / 25, 99.5 / 25)
    # The upload lies there at half the size that the box was measured in.
    np.testing.assert_allclose(clip.boxes.in_picture(np.array([2.0, 3.0]), 640, 360), [[50, 10, 150, 110]] * 2)


def test_a_span_holds_its_first_frame_and_not_its_end() -> None:
    start, end = Span.of_frames(12, 15, 25)
    assert [number for number in range(20) if start <= number / 25 < end] == [12, 13, 14]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("50,100", "60,20", "end 20 is not after start 60"),
        ("50,100", "50.0,100", "start is '50.0', not a whole number"),
        ("50,100", "50,", "end is '', not a whole number"),
        ("100-20-300-220", "300-20-100-220", "bbox 300-20-100-220 is empty: its sides are left-top-right-bottom"),
        ("100-20-300-220", "100-20-300", "bbox is '100-20-300', not left-top-right-bottom"),
        ("100-20-300-220", "1290-20-1300-220", "bbox 1290-20-1300-220 is outside the 1280x720 picture"),
        ("100-20-300-220", "-9-20-0-220", "bbox -9-20-0-220 is outside the 1280x720 picture"),
        (",25,", ",0,", "fps is '0', not a number above 0"),
        (",1280,", ",,", "width is '', not a number above 0"),
        ("train", "valid", "partition is 'valid', not one of dev, train, test"),
        ("abcdefghijk", "", "video_id is empty"),
        (",id10001", "", "8 cells under 9 headings"),
        (",id10001", ",id10001,x", "10 cells under 9 headings"),
    ],
)
def test_a_bad_row_is_named_and_the_good_one_used(tmp_path: Path, old: str, new: str, problem: str) -> None:
    path = table(tmp_path, GOOD.replace(old, new), "", GOOD)
    found = read_metadata(path)
    assert problems(found.faults) == [(2, problem)]
    assert str(found.faults[0]) == f"{path}:2: {problem}"
    assert [clip.place for clip in found.clips] == [f"{path}:4"]


def test_negative_numbers_in_a_dash_joined_box_are_cut_off(tmp_path: Path) -> None:
    (clip,) = read_metadata(table(tmp_path, GOOD.replace("100-20-300-220", "-100--20-300-1000"))).clips
    assert clip.boxes.sides.tolist() == [[-100, -20, 300, 1000]]
    assert clip.boxes.reaching_past() == 1
    np.testing.assert_allclose(clip.boxes.in_picture(np.zeros(1), 1280, 720), [[0, 0, 300, 720]])


def test_rows_that_repeat_are_merged_and_rows_that_contradict_are_named(tmp_path: Path) -> None:
    found = read_metadata(table(tmp_path, GOOD, GOOD, GOOD.replace("train", "test"), GOOD.replace("50,", "40,")))
    assert [clip.clip for clip in found.clips] == ["000050#000100", "000040#000100"]
    assert found.repeated == 1
    assert problems(found.faults) == [(4, "the clip of line 2 again, with another split")]


def test_tabs_byte_order_mark_crlf_spaces_and_other_order_change_nothing(tmp_path: Path) -> None:
    (plain,) = read_metadata(table(tmp_path, GOOD)).clips
    columns = [" \t".join(reversed(row.split(","))) for row in (HEADINGS, GOOD)]
    path = tmp_path / "odd.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(columns).encode())
    (odd,) = read_metadata(path).clips
    assert (odd.identity, odd.video, odd.clip, odd.span) == (plain.identity, plain.video, plain.clip, plain.span)
    assert odd.boxes.sides.tolist() == plain.boxes.sides.tolist()


def test_a_table_without_its_columns_is_one_line(tmp_path: Path) -> None:
    path = table(tmp_path, "1,2", headings="video_id,start")
    with pytest.raises(PipelineError, match=r"vox-metadata.csv: no column end, bbox, fps, width, height, partition"):
        read_metadata(path)
    assert not is_annotation(path)


def test_fractions_are_voxceleb2_and_whole_numbers_voxceleb1(tmp_path: Path) -> None:
    vox2, _ = read_text(
        text(tmp_path, "000049 \t0.250 \t0.100 \t0.500 \t0.500 ", "000050 \t0.500 \t0.100 \t0.500 \t0.5 ")
    )
    vox1, _ = read_text(text(tmp_path, "002316 \t90 \t36 \t180 \t180 \n", name="00002.txt"))
    assert vox1 is not None
    assert vox2 is not None
    assert (vox2.identity, vox2.video, vox2.clip) == ("id00012", "_raOc3-IRsw", "00001")
    assert vox2.span == Span(48.5 / 25, 50.5 / 25)
    nearest = vox2.boxes.in_picture(np.array([0, 1.97, 1.99, 9]), 1280, 720)
    np.testing.assert_allclose(nearest, [[320, 72, 960, 432]] * 2 + [[640, 72, 1280, 432]] * 2, rtol=1e-6)
    np.testing.assert_allclose(vox1.boxes.in_picture(np.array([92.64]), 1280, 720), [[180, 72, 540, 432]])


def test_boxes_of_a_text_file_are_cut_off_at_the_picture(tmp_path: Path) -> None:
    clip, faults = read_text(text(tmp_path, "000000 \t-0.050 \t0.700 \t0.500 \t0.800 "))
    assert clip is not None
    assert faults == []
    assert clip.boxes.reaching_past() == 1
    np.testing.assert_allclose(clip.boxes.in_picture(np.zeros(1), 1000, 100), [[0, 70, 450, 100]], rtol=1e-6)


def test_a_text_file_with_commas_and_crlf_is_read(tmp_path: Path) -> None:
    path = tmp_path / "00001.txt"
    path.write_bytes((HEAD + "000003 ,0.1 ,0.2 ,0.3 ,0.4\n").replace("\n", "\r\n").encode("utf-8-sig"))
    clip, faults = read_text(path)
    assert clip is not None
    assert faults == []
    np.testing.assert_allclose(clip.boxes.sides, [[0.1, 0.2, 0.4, 0.6]], rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("000008 \t0.31", "2 of the 5 numbers FRAME X Y W H"),
        ("000008 0.1 0.1 0.x 0.1", "not the numbers FRAME X Y W H: 000008 0.1 0.1 0.x 0.1"),
        ("000008 0.1 0.1 nan 0.1", "not a frame and a box: 000008 0.1 0.1 nan 0.1"),
        ("000008 0.1 0.1 0.2 0.0", "not a frame and a box: 000008 0.1 0.1 0.2 0.0"),
        ("000008 1.1 0.1 0.2 0.2", "the box is outside the picture: 000008 1.1 0.1 0.2 0.2"),
        ("000007 0.1 0.1 0.2 0.2", "frame 7 after frame 7"),
    ],
)
def test_the_whole_rows_of_a_text_file_are_used_and_the_bad_one_named(tmp_path: Path, row: str, problem: str) -> None:
    clip, faults = read_text(text(tmp_path, "000007 0.1 0.1 0.2 0.2", row))
    assert clip is not None
    assert len(clip.boxes.times) == 1
    assert problems(faults) == [(8, problem)]


@pytest.mark.parametrize(
    ("head", "rows", "problem"),
    [
        (HEAD, (), "no usable row in it; the clip is left out"),
        ("", ("000007 0.1 0.1 0.2 0.2",), "no Identity and Reference in its head; not a text file of VoxCeleb"),
    ],
)
def test_a_text_file_without_rows_or_head_gives_no_clip(
    tmp_path: Path, head: str, rows: tuple[str, ...], problem: str
) -> None:
    clip, faults = read_text(text(tmp_path, *rows, head=head))
    assert clip is None
    assert problems(faults) == [(None, problem)]


def test_of_two_text_files_for_one_clip_the_first_holds(tmp_path: Path) -> None:
    for folder in ("vox1", "vox2"):
        (tmp_path / folder).mkdir()
        text(tmp_path / folder, "000007 0.1 0.1 0.2 0.2")
    found = read_annotations(tmp_path)
    assert [clip.place for clip in found.clips] == [f"{tmp_path}/vox1/00001.txt"]
    assert [str(f) for f in found.faults] == [f"{tmp_path}/vox2/00001.txt: the clip of {tmp_path}/vox1/00001.txt again"]


def test_a_table_of_headings_alone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="no video, still, folder of frames or row of a list in it"):
        scan(table(tmp_path))


def test_a_folder_without_text_files_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no annotation \(\*\.txt\) in this folder"):
        read_annotations(tmp_path)


def test_boxes_measured_at_a_height_alone_take_the_width_of_the_video() -> None:
    boxes = Boxes(times=np.zeros(1), sides=np.array([[600, 0, 700, 100]], np.float32), width=None, height=360)
    assert boxes.reaching_past() == 0  # nobody knows yet
    np.testing.assert_allclose(boxes.in_picture(np.zeros(1), 1280, 720), [[1200, 0, 1280, 200]])


def test_metadata_cuts_clips_out_of_the_uploads_instead_of_the_crops(tmp_path: Path) -> None:
    path = table(tmp_path, GOOD, GOOD.replace("abcdefghijk", "notThereAt1"))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "abcdefghijk.MKV").touch()
    (tmp_path / "id10001#abcdefghijk#000050#000100.mp4").touch()
    for root in (tmp_path, tmp_path / "raw"):
        found = scan(root, metadata=path)
        assert [clip.path for clip in found] == [str(tmp_path / "raw" / "abcdefghijk.MKV")]
        assert [(fault.line, fault.reason) for fault in found.faults] == [(3, Reason.MISSING_VIDEO)]


@pytest.mark.parametrize(
    "table_of_people",
    [
        "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid10001\tA.J._Buckley\tm\tIreland\ttest\n",
        "ID,VGGFace1,Gender,Nationality,Set\r\nid10001,A.J._Buckley,m,Ireland,test\r\n",
        "\ufeffVoxCeleb2 ID,VGGFace2 ID,Gender,Set\nid10001 ,n000012 ,m ,test \n",
    ],
)
def test_a_table_of_people_says_their_split(tmp_path: Path, table_of_people: str) -> None:
    path = tmp_path / "meta.csv"
    path.write_bytes(table_of_people.encode())
    assert is_table_of_people(path)
    assert read_people(path) == ({"id10001": "test"}, [])
    for person in ("id10001", "id10002"):
        clip = tmp_path / "set" / "dev" / "mp4" / person / "abcdefghijk" / "00001.mp4"
        clip.parent.mkdir(parents=True)
        clip.touch()
    assert [clip.split for clip in scan(tmp_path / "set", metadata=path)] == ["test", "train"]


def test_people_of_no_set_or_of_two_are_named(tmp_path: Path) -> None:
    path = tmp_path / "meta.csv"
    path.write_text("ID,Set\nid10001,dev\nid10002,later\nid10001,test\n")
    people, faults = read_people(path)
    assert people == {"id10001": "train"}
    assert problems(faults) == [
        (3, "set is 'later', not one of dev, train, test"),
        (4, "id10001 again, in another set"),
    ]

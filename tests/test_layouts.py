"""Which names a clip gets by where it lies. Trees of empty files: names are all that counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import PipelineError, Reason
from pipeline.records import Clip, Kind
from pipeline.sources import clip_of, scan

MP4_HEAD = b"\x00\x00\x00\x18ftypmp42"
TEXT = "Identity  : \t{}\nReference : \t{}\n\nFRAME \tX \tY \tW \tH \n000010 \t10 \t20 \t90 \t90 \n"


@pytest.fixture
def grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*files: str) -> None:
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()


def write_text(file: str, identity: str, video: str) -> None:
    touch(file)
    Path(file).write_text(TEXT.format(identity, video))


def names(clip: Clip) -> tuple[str, str, str, str | None]:
    return clip.identity, clip.video, clip.clip, clip.split


VOX2 = "vox2/dev/mp4/id00012/-2345678901/00001.mp4"


@pytest.mark.parametrize("part", ["vox2", "vox2/dev", "vox2/dev/mp4", "vox2/dev/mp4/id00012", VOX2])
def test_a_part_of_voxceleb_has_the_names_of_the_whole(grow: Path, part: str) -> None:
    touch(VOX2)
    (clip,) = scan(part)
    assert names(clip) == ("id00012", "-2345678901", "00001", "train")
    assert clip.path == VOX2


@pytest.mark.parametrize(("folder", "split"), [("test/mp4", "test"), ("dev", "train"), ("all/mp4", None)])
def test_the_folder_above_the_person_says_the_split(grow: Path, folder: str, split: str | None) -> None:
    touch(f"{folder}/id00012/_2345678901/00007.mp4")
    assert [names(clip) for clip in scan(".")] == [("id00012", "_2345678901", "00007", split)]


@pytest.mark.parametrize("file", ["id12/-2345678901/00001.mp4", "id00012/short/00001.mp4", "id00012/-2345678901/a.mp4"])
def test_what_only_resembles_voxceleb_is_plain_unless_told_otherwise(grow: Path, file: str) -> None:
    touch(file)
    (clip,) = scan(".")
    assert names(clip) == (Path(file).stem, Path(file).stem, file, None)
    (told,) = scan(".", layout="voxceleb")
    assert names(told) == (*file.removesuffix(".mp4").split("/"), None)


def test_sidecars_of_voxceleb_belong_to_their_clip(grow: Path) -> None:
    touch(VOX2, "vox2/dev/txt/id00012/-2345678901/00001.txt", "vox2/dev/aac/id00012/-2345678901/00001.m4a")
    assert [clip.path for clip in scan("vox2")] == [VOX2]


def test_text_files_without_crops_are_cut_out_of_the_uploads(grow: Path) -> None:
    write_text("vox1/test/txt/id10001/abcdefghijk/00003.txt", "id10001", "abcdefghijk")
    touch("raw/abcdefghijk.webm")
    for root in (".", "vox1", "vox1/test/txt"):
        (clip,) = scan(root)
        assert names(clip) == ("id10001", "abcdefghijk", "00003", "test")
        assert Path(clip.path).samefile("raw/abcdefghijk.webm")
        assert clip.boxes is not None
        assert clip.annotation is not None
        assert clip.annotation.endswith("00003.txt")


def test_a_missing_upload_is_a_fault_that_names_what_wants_it(grow: Path) -> None:
    for utterance in ("00001", "00002"):
        write_text(f"vox1/dev/txt/id10001/abcdefghijk/{utterance}.txt", "id10001", "abcdefghijk")
    found = scan("vox1")
    assert len(found) == 0
    (fault,) = found.faults
    assert fault.reason == Reason.MISSING_VIDEO
    assert str(fault).startswith("vox1/dev/txt/id10001/abcdefghijk/00001.txt: no video abcdefghijk")
    assert str(fault).endswith("1 more want it")


def test_clips_that_share_their_names_are_told_apart_by_their_path(grow: Path) -> None:
    touch("a/dev/mp4/id00012/-2345678901/00001.mp4", "b/test/mp4/id00012/-2345678901/00001.mp4")
    assert [names(clip) for clip in scan(".")] == [
        ("id00012", "-2345678901", "a/dev/mp4/id00012/-2345678901/00001.mp4", "train"),
        ("id00012", "-2345678901", "b/test/mp4/id00012/-2345678901/00001.mp4", "test"),
    ]


def test_video_preprocessing_names_say_person_video_and_frames(grow: Path) -> None:
    touch("train/id10001#a_c-efghijk#000066#000172.mp4", "vox-metadata.csv")
    (clip,) = scan(".")
    assert names(clip) == ("id10001", "a_c-efghijk", "000066#000172", "train")
    assert (clip.kind, clip.span) == (Kind.VIDEO, None)


def test_a_video_id_of_another_length_makes_a_plain_name(grow: Path) -> None:
    name = "id19001#t_x#000000#000050"
    touch(f"{name}.mp4")
    assert [names(clip) for clip in scan(".")] == [(name, name, f"{name}.mp4", None)]
    assert [names(clip) for clip in scan(".", layout="video-preprocessing")] == [
        ("id19001", "t_x", "000000#000050", None)
    ]


def test_a_folder_named_like_a_video_is_one_clip(grow: Path) -> None:
    folder = "test/id10001#abcdefghijk#000066#000172.mp4"
    touch(f"{folder}/0000000.png", f"{folder}/0000001.png")
    for root in (".", folder):
        (clip,) = scan(root)
        assert (clip.kind, clip.path) == (Kind.FRAMES, folder)
        assert names(clip) == ("id10001", "abcdefghijk", "000066#000172", "test")


def test_a_folder_named_like_a_video_that_holds_no_picture_is_an_input_all_the_same(grow: Path) -> None:
    touch("is_a_directory.mp4/placeholder.txt")
    (clip,) = scan(".")
    assert (clip.kind, clip.identity, clip.path) == (Kind.FRAMES, "is_a_directory", "is_a_directory.mp4")


def test_a_folder_named_like_a_video_with_videos_in_it_is_a_folder(grow: Path) -> None:
    touch("show.mp4/part 1.mp4", "show.mp4/part 2.mp4")
    assert [clip.clip for clip in scan(".")] == ["show.mp4/part 1.mp4", "show.mp4/part 2.mp4"]


def test_a_training_folder_of_the_original_is_one_clip(grow: Path) -> None:
    folder = "train/id10001/abcdefghijk/000066#000172"
    for frame in ("0000000", "0000004"):
        touch(f"{folder}/{frame}_img.jpg", f"{folder}/{frame}_posed_vertx.lz4")
    for root in (".", "train/id10001", folder):
        (clip,) = scan(root)
        assert (clip.kind, clip.path) == (Kind.GDPW_FOLDER, folder)
        assert names(clip) == ("id10001", "abcdefghijk", "000066#000172", "train")


def test_stills_are_clips(grow: Path) -> None:
    touch("people/ann.JPG", "people/bob.v2.png", "bob.tiff")
    clips = scan(".")
    assert [(clip.identity, clip.clip, clip.kind) for clip in clips] == [
        ("bob", "bob.tiff", Kind.PICTURE),
        ("ann", "people/ann.JPG", Kind.PICTURE),
        ("bob.v2", "people/bob.v2.png", Kind.PICTURE),
    ]


HARD_NAMES = ["-leading-dash.mp4", "UPPER.MP4", "a.b.c.mp4", "brackets[1]{2}.mp4", "spaces #1 100% ünï 名前.mp4"]


@pytest.mark.parametrize("name", HARD_NAMES)
def test_hard_names_are_plain_names(grow: Path, name: str) -> None:
    touch(name)
    stem = name[:-4]
    for found in (scan("."), scan(name)):
        assert [(clip.path, *names(clip)) for clip in found] == [(name, stem, stem, name, None)]


def test_a_name_that_is_not_utf_8_survives(grow: Path) -> None:
    touch("caf\udce9.mp4")
    assert [clip.identity for clip in scan(".")] == ["caf\udce9"]


def test_a_file_without_suffix_is_what_it_begins_with(grow: Path) -> None:
    Path("film").write_bytes(MP4_HEAD)
    Path("face").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("README").write_text("a text")
    touch("empty")
    assert [(clip.identity, clip.kind) for clip in scan(".")] == [("face", Kind.PICTURE), ("film", Kind.VIDEO)]


def test_a_file_that_is_named_itself_may_have_any_suffix(grow: Path) -> None:
    touch("film.part")
    assert [(clip.identity, clip.kind) for clip in scan("film.part")] == [("film", Kind.VIDEO)]


def test_hidden_files_and_folders_are_left_alone(grow: Path) -> None:
    touch("a.mp4", "._a.mp4", ".cache/b.mp4")
    assert [clip.path for clip in scan(".")] == ["a.mp4"]


def test_plain_folders_say_the_split_below_the_input_alone(grow: Path) -> None:
    touch("test/mine/dev/a.mp4", "test/mine/test/x/b.mp4", "test/mine/c.mp4")
    assert {clip.identity: clip.split for clip in scan("test/mine")} == {"a": "train", "b": "test", "c": None}


def test_one_stem_in_two_folders_is_two_people(grow: Path) -> None:
    touch("ann/01.mp4", "ann/02.mp4", "bob/01.mp4", "01.mp4", "cid/03.mp4", "cid/03.mov")
    assert [names(clip)[:3] for clip in scan(".")] == [
        ("01", "01", "01.mp4"),
        ("ann/01", "ann/01", "ann/01.mp4"),
        ("02", "02", "ann/02.mp4"),
        ("bob/01", "bob/01", "bob/01.mp4"),
        ("03", "03", "cid/03.mov"),
        ("03", "03", "cid/03.mp4"),
    ]


def test_folders_of_frames_are_people_by_their_path(grow: Path) -> None:
    touch("ann/01.mp4/0.png", "bob/01.mp4/0.png")
    assert [clip.identity for clip in scan(".")] == ["ann/01", "bob/01"]


def test_the_layout_plain_knows_no_layout(grow: Path) -> None:
    touch(VOX2)
    assert [names(clip) for clip in scan("vox2", layout="plain")] == [
        ("00001", "00001", VOX2.removeprefix("vox2/"), "train")
    ]


def test_a_layout_that_is_asked_for_names_what_it_has_no_place_for(grow: Path) -> None:
    touch("train/id10001#abcdefghijk#000066#000172.mp4", "train/stray.mp4")
    found = scan(".", layout="video-preprocessing")
    assert [clip.identity for clip in found] == ["id10001"]
    assert [(fault.path, fault.reason) for fault in found.faults] == [("train/stray.mp4", Reason.BAD_ANNOTATION)]


def test_an_unknown_layout_is_one_line(grow: Path) -> None:
    with pytest.raises(PipelineError, match=r"layout 'vox': not one of auto, plain"):
        scan(".", layout="vox")  # type: ignore[arg-type]


def test_nothing_to_read_is_one_line(grow: Path) -> None:
    touch("notes.md")
    with pytest.raises(PipelineError, match=r"^\.: no video, still, folder of frames or row of a list in it$"):
        scan(".")
    with pytest.raises(PipelineError, match=r"^gone: no such file or folder$"):
        scan("gone")


def test_the_clip_of_a_file_ignores_the_layout_around_it(grow: Path) -> None:
    touch(VOX2)
    assert names(clip_of(VOX2)) == ("00001", "00001", "00001.mp4", None)

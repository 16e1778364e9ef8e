"""Pieces: results survive whatever happens to the run, and other options do not mix with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.outputs import MisuseError, resumed_folder
from pipeline.errors import PipelineError
from pipeline.pieces import FOLDER, Pieces

CONFIG = {"size": 256, "tracks": {"min_face": 40.0, "held": (1, 2)}}


def test_results_come_back_under_any_key(tmp_path: Path) -> None:
    results = {"a": 1, "a/b": [1, 2], "../up": {"x": None}, "名 ∞": "text", "n\udcff": True, "x" * 5000: 0.5}
    pieces = Pieces(tmp_path)
    pieces.begin(CONFIG)
    for key, result in results.items():
        pieces.write(key, result)
    assert dict(Pieces(tmp_path).read_all()) == results
    assert {key: pieces.read(key) for key in results} == results
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]


def test_a_later_result_takes_the_place_of_the_first_and_a_removed_one_is_gone(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path)
    pieces.begin(CONFIG)
    for result in ("first", "second"):
        pieces.write("a", result)
    pieces.write("b", "other")
    assert pieces.read("a") == "second"
    pieces.remove("a")
    assert dict(pieces.read_all()) == {"b": "other"}
    with pytest.raises(KeyError):
        pieces.read("a")


def test_the_same_options_go_on_and_what_was_half_written_is_swept(tmp_path: Path) -> None:
    resumed_folder(tmp_path / "out", CONFIG).write("a", 1)
    left = [
        tmp_path / "out" / name for name in (".shard.12345678.partial.tar", f"{FOLDER}/ab/.x.12345678.partial.json")
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    assert dict(resumed_folder(tmp_path / "out", CONFIG).read_all()) == {"a": 1}
    assert not any(path.exists() for path in left)


def test_a_run_that_was_killed_before_its_options_were_kept_begins_anew(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / ".config.12345678.partial.json").touch()
    assert resumed_folder(tmp_path, CONFIG).config()["size"] == 256
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["config.json"]


def test_other_options_are_refused_and_every_difference_is_shown(tmp_path: Path) -> None:
    resumed_folder(tmp_path / "out", CONFIG)
    with pytest.raises(MisuseError) as refusal:
        resumed_folder(tmp_path / "out", {"size": 512, "tracks": {"min_face": 40.0, "max_gap": 1}})
    for difference in ("size: 256 there, 512 now", "tracks.held: [1, 2] there, null now", "tracks.max_gap: null there"):
        assert difference in str(refusal.value)
    assert "min_face" not in str(refusal.value)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(MisuseError, match="not empty"):
        resumed_folder(tmp_path, CONFIG)


def test_a_damaged_piece_is_named(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path)
    pieces.begin(CONFIG)
    pieces.write("a", 1)
    (piece,) = pieces.folder.glob("*/*.json")
    piece.write_text('{"key": ')
    with pytest.raises(PipelineError, match=f"{piece}: cannot be read; delete it"):
        Pieces(tmp_path).read("a")

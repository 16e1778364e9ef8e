"""Lists of inputs: the same rows as CSV, JSONL and Parquet give the same clips."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import PipelineError, Reason
from pipeline.records import Kind, Span
from pipeline.sources import scan

VOX2 = "vox2/test/mp4/id00012/abcdefghijk/00001.mp4"


@pytest.fixture(autouse=True)
def footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ann.mp4", "sub/bob.png", VOX2, "c.mp4/000.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def write_list(suffix: str, rows: list[dict[str, Any]]) -> Path:
    path = Path(f"list.{suffix}")
    columns = list(rows[0])
    if suffix == "csv":
        lines = [",".join("" if row[name] is None else f'"{row[name]}"' for name in columns) for row in rows]
        path.write_text("\ufeff" + "\r\n".join([",".join(columns), *lines]))
    elif suffix == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_form_of_a_list_gives_the_same_clips(suffix: str) -> None:
    found = scan(
        write_list(
            suffix,
            [
                {"path": "ann.mp4", "identity": "Ann", "start": 1.5, "end": 3.0, "split": "val"},
                {"path": "ann.mp4", "identity": None, "start": 4.0, "end": None, "split": None},
                {"path": "sub/bob.png", "identity": None, "start": None, "end": None, "split": "dev"},
                {"path": "c.mp4", "identity": "Cay", "start": None, "end": None, "split": None},
                {"path": "gone.mp4", "identity": "Dan", "start": None, "end": None, "split": None},
                {"path": "sub/bob.png", "identity": None, "start": None, "end": None, "split": "dev"},
            ],
        )
    )
    assert [(clip.path, clip.identity, clip.kind, clip.span, clip.split) for clip in found] == [
        ("ann.mp4", "Ann", Kind.VIDEO, Span(1.5, 3.0), "val"),
        ("ann.mp4", "ann", Kind.VIDEO, Span(4.0, math.inf), None),
        ("sub/bob.png", "bob", Kind.PICTURE, None, "train"),
        ("c.mp4", "Cay", Kind.FRAMES, None, None),
    ]
    assert [clip.clip for clip in found] == ["ann.mp4#1.5-3.0", "ann.mp4#4.0-", "sub/bob.png", "c.mp4"]
    assert found.clips[2].annotation == f"list.{suffix}:{4 if suffix == 'csv' else 3}"
    assert [(fault.reason, fault.problem) for fault in found.faults] == [
        (Reason.MISSING_VIDEO, "gone.mp4 is not there")
    ]
    assert found.notes == ["rows merged that say the same as one before: 1"]


def test_a_known_layout_outranks_the_lists_identity_but_not_its_split() -> None:
    path = write_list("csv", [{"path": VOX2, "identity": "Ann", "split": "train"}])
    (clip,) = scan(path)
    assert (clip.identity, clip.video, clip.clip, clip.split) == ("id00012", "abcdefghijk", "00001", "train")
    (plain,) = scan(path, layout="plain")
    assert plain.identity == "Ann"


def test_paths_are_relative_to_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_list("csv", [{"path": "ann.mp4"}])
    monkeypatch.chdir("/")
    assert [clip.path for clip in scan(tmp_path / "list.csv")] == [str(tmp_path / "ann.mp4")]


def test_absolute_paths_name_clips_by_what_tells_them_apart(tmp_path: Path) -> None:
    files = ["far/a/01.mp4", "far/b/01.mp4", "far/b/02.mp4"]
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    Path("lists").mkdir()
    rows = [{"path": str(tmp_path / file)} for file in files]
    whole = str(tmp_path / "far").lstrip("/")
    found = scan(write_list("csv", rows).rename("lists/list.csv"))
    assert [(clip.identity, clip.video, clip.clip) for clip in found] == [
        (f"{whole}/a/01", f"{whole}/a/01", f"{whole}/a/01.mp4"),
        (f"{whole}/b/01", f"{whole}/b/01", f"{whole}/b/01.mp4"),
        ("02", "02", "02.mp4"),
    ]
    found = scan(write_list("csv", rows))  # beside them
    assert [(clip.identity, clip.clip) for clip in found] == [
        ("far/a/01", "far/a/01.mp4"),
        ("far/b/01", "far/b/01.mp4"),
        ("02", "far/b/02.mp4"),
    ]


def test_one_stem_in_two_folders_is_one_person_where_the_list_says_so() -> None:
    for file in ("x/01.mp4", "y/01.mp4", "z/01.mp4"):
        Path(file).parent.mkdir()
        Path(file).touch()
    names = {"x/01.mp4": "Ann", "y/01.mp4": "Ann", "z/01.mp4": "Bob"}
    found = scan(write_list("jsonl", [{"path": path, "identity": who} for path, who in names.items()]))
    assert [(clip.identity, clip.video) for clip in found] == [("Ann", "x/01"), ("Ann", "y/01"), ("Bob", "01")]


def test_the_lists_names_for_clips_keep_two_cuts_apart() -> None:
    rows = [{"path": "ann.mp4", "video": "v", "clip": clip, "start": 0, "end": 1} for clip in ("a", "b", "a")]
    rows[2]["end"] = 2
    found = scan(write_list("jsonl", rows))
    assert [(clip.video, clip.clip) for clip in found] == [("v", "a"), ("v", "b")]
    assert [str(fault) for fault in found.faults] == ["list.jsonl:3: ann/v/a of line 1 again, with other values"]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"path": ""}, "path is empty"),
        ({"path": "sub"}, "sub is a folder without frames or meshes"),
        ({"path": "\0.mp4"}, "\0.mp4 is not there"),
        ({"path": "ann.mp4", "split": "later"}, "split is 'later', not one of dev, train, test, val"),
        ({"path": "ann.mp4", "start": 3, "end": 2}, "start '3' and end '2' are not seconds in this order"),
        ({"path": "ann.mp4", "start": "soon"}, "start 'soon' and end None are not seconds in this order"),
        ({"path": "ann.mp4", "end": math.nan}, "start None and end 'nan' are not seconds in this order"),
        ({"path": ["ann.mp4"]}, "path: neither text nor number"),
        ({"file": "ann.mp4"}, "not a JSON object with a path"),
        (["ann.mp4"], "not a JSON object with a path"),
    ],
)
def test_a_bad_row_is_named_and_the_good_one_used(row: Any, problem: str) -> None:
    Path("list.jsonl").write_text(f'{json.dumps(row)}\n\n{{"path": "ann.mp4"}}\n{{"path": ')
    found = scan("list.jsonl")
    assert [clip.annotation for clip in found] == ["list.jsonl:3"]
    assert [(fault.line, fault.problem) for fault in found.faults] == [(1, problem), (4, "not JSON")]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_list_without_paths_is_one_line(suffix: str) -> None:
    with pytest.raises(PipelineError, match=rf"^list.{suffix}: no column path"):
        scan(write_list(suffix, [{"file": "ann.mp4"}]))


def test_an_unreadable_list_is_one_line() -> None:
    Path("list.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(PipelineError, match=r"^list.parquet: not a readable Parquet file$"):
        scan("list.parquet")

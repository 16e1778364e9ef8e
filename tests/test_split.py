"""Train, val and test: people and videos whole, the same everywhere, or as a list says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs import split
from jobs.commands.split import split as split_command
from pipeline.errors import PipelineError
from pipeline.ledger import ManifestRow, read_manifest, write_manifest
from pipeline.split import SplitConfig, read_split_list, split_of


def row(identity: str, video: str = "v", part: str = "train") -> ManifestRow:
    return ManifestRow(
        identity=identity,
        video=video,
        clip="c",
        track=0,
        frames=3,
        shard="shard-000000.tar",
        error_median_px=1.0,
        error_p95_px=2.0,
        jitter_px=0.5,
        split=part,
        numbers=[0, 1, 2],
        offsets=[0, 1, 2, 3],
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """20 people with two videos each, and a stranger in one video of each."""
    people = [f"id{number:05d}" for number in range(20)]
    rows = [row(name, video) for name in people for video in ("a", "b")]
    rows += [row(f"{name}~a~c~2", "a") for name in people]
    write_manifest(rows, tmp_path)
    return tmp_path


def parts(dataset: Path) -> dict[tuple[str, str], str]:
    return {(row.identity, row.video): row.split for row in read_manifest(dataset)}


def run(dataset: Path, people: Path | None = None, **shares: float) -> str:
    return split.run(split.SplitJobConfig(dataset=dataset, shares=SplitConfig(**shares), people=people))  # type: ignore[arg-type]


def test_a_person_and_the_strangers_in_his_videos_are_in_one_part(dataset: Path) -> None:
    before = read_manifest(dataset)
    run(dataset, val=0.3, test=0.3)
    of_person: dict[str, set[str]] = {}
    for (identity, _), part in parts(dataset).items():
        of_person.setdefault(identity.partition("~")[0], set()).add(part)
    assert all(len(found) == 1 for found in of_person.values())
    assert set.union(*of_person.values()) == {"train", "val", "test"}
    untouched = [(row.identity, row.video, row.frames, row.offsets) for row in read_manifest(dataset)]
    assert untouched == [(row.identity, row.video, row.frames, row.offsets) for row in before]


def test_shares_are_about_those_asked_for() -> None:
    config = SplitConfig(val=0.1, test=0.2)
    counts = Counter(split_of(f"person {number}", config) for number in range(5000))
    assert counts["val"] == pytest.approx(500, abs=80)
    assert counts["test"] == pytest.approx(1000, abs=110)


def test_a_part_follows_from_name_and_seed_alone() -> None:
    """These are kept for ever: a dataset that grows must not move anybody."""
    names = [f"id{number:05d}" for number in range(40)]
    config = SplitConfig(val=0.25, test=0.25)
    assert "".join(split_of(name, config)[1] for name in names) == "reerrearrarearrrrearerreeraaeraraareaarr"
    assert [split_of(name, SplitConfig(val=0.25, test=0.25, seed=1)) for name in names] != [
        split_of(name, config) for name in names
    ]


def test_no_shares_means_everybody_trains(dataset: Path) -> None:
    run(dataset, val=0.5, test=0.5)
    assert "train" not in parts(dataset).values()
    run(dataset, val=0.0, test=0.0)
    assert set(parts(dataset).values()) == {"train"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vox2_meta.csv", "Id ,Set\nid00003 ,test\nid00004 ,dev\n"),
        ("list.csv", "path,identity,split\na.mp4,id00003,test\nb.mp4,id00004,train\n"),
        ("list.jsonl", '{"identity": "id00003", "split": "test"}\n{"identity": "id00004", "split": "dev"}\n'),
        (
            "vox-metadata.csv",
            "video_id,start,end,bbox,fps,width,height,partition,person_id\n"
            "abcdefghijk,0,50,1-2-30-40,25,100,100,test,id00003\n"
            "abcdefghijl,0,50,1-2-30-40,25,100,100,train,id00004\n",
        ),
    ],
)
def test_lists_say_who_is_where(dataset: Path, tmp_path: Path, name: str, text: str) -> None:
    run(dataset, val=0.0, test=1.0)
    path = tmp_path / name
    path.write_text(text)
    said = run(dataset, people=path)
    found = parts(dataset)
    assert found["id00003", "a"] == found["id00003", "b"] == found["id00003~a~c~2", "a"] == "test"
    assert found["id00004", "a"] == found["id00004~a~c~2", "a"] == "train"
    assert "54 tracks of people who are not in" in said


def test_a_list_that_contradicts_itself_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("identity,split\nann,test\nbob,nowhere\nann,train\n")
    people, faults = read_split_list(path)
    assert people == {"ann": "test"}
    assert [str(fault) for fault in faults] == [
        f"{path}:3: split is 'nowhere', not one of dev, train, test, val",
        f"{path}:4: ann again, in another part",
    ]


def test_published_lists_are_read(shared: Path) -> None:
    people, _ = read_split_list(shared / "annotations" / "vox-metadata.csv")
    assert len(people) == 435
    texts, _ = read_split_list(shared / "voxceleb_layout" / "vox2")
    assert texts["id19006"] == "test"
    assert texts["id19001"] == "train"


def test_what_is_no_list_and_what_is_no_dataset_is_said(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(PipelineError, match=r"other\.csv: no column identity, split"):
        run(dataset, people=tmp_path / "other.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match="is this a dataset"):
        run(tmp_path / "empty")


def test_shares_leave_nobody_out_twice() -> None:
    with pytest.raises(ValueError, match="shares"):
        SplitConfig(val=0.6, test=0.6)


def test_the_command_takes_shares_or_a_list(dataset: Path, tmp_path: Path) -> None:
    command = CliRunner().invoke(split_command, [str(dataset), "--val", "0", "--test", "1"])
    assert command.exit_code == 0
    assert set(parts(dataset).values()) == {"test"}
    (tmp_path / "list.csv").write_text("identity,split\nid00003,val\n")
    CliRunner().invoke(split_command, [str(dataset), "--list", str(tmp_path / "list.csv")])
    assert parts(dataset)["id00003", "a"] == "val"


def test_shares_of_more_than_everybody_are_misuse(dataset: Path) -> None:
    before = parts(dataset)
    assert CliRunner().invoke(split_command, [str(dataset), "--val", "0.6", "--test", "0.6"]).exit_code == 2
    assert parts(dataset) == before

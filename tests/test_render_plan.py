"""Which jobs `render` makes of lists and folders, and what their results are called."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_dataset import MadeTrack, write_dataset

from pipeline.errors import PipelineError, Reason
from pipeline.render_plan import Pairing, RenderJob, dataset_jobs, list_jobs, pair_jobs


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    for name in ("faces/ann.png", "faces/sub/bob.jpg", "faces/note.txt", "clips/a.mp4", "clips/b.mov", "clips/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "clips/d.mp4").mkdir()
    (tmp_path / "clips/d.mp4/000.png").touch()
    return tmp_path


def outputs(footage: Path, pairing: Pairing) -> list[str]:
    return [job.output for job in pair_jobs(footage / "faces", footage / "clips", pairing).jobs]


def test_all_pairs_stills_with_videos_and_folders_of_frames_source_by_source(footage: Path) -> None:
    plan = pair_jobs(footage / "faces", footage / "clips", Pairing("all"))
    assert [(Path(job.source).name, Path(job.driving).name, job.output) for job in plan.jobs] == [
        ("ann.png", "a.mp4", "ann/a.mp4"),
        ("ann.png", "b.mov", "ann/b.mp4"),
        ("ann.png", "d.mp4", "ann/d.mp4"),
        ("bob.jpg", "a.mp4", "sub_bob/a.mp4"),
        ("bob.jpg", "b.mov", "sub_bob/b.mp4"),
        ("bob.jpg", "d.mp4", "sub_bob/d.mp4"),
    ]
    assert plan.faults == []


def test_one_file_is_a_source_or_a_driver_by_itself(footage: Path) -> None:
    plan = pair_jobs(footage / "faces/ann.png", footage / "clips/c.png", Pairing("all"))
    assert [job.output for job in plan.jobs] == ["ann/c.mp4"]


def test_zip_needs_equal_numbers(footage: Path) -> None:
    with pytest.raises(PipelineError, match="3 for 2"):
        outputs(footage, Pairing("zip"))
    (footage / "faces/cay.png").touch()
    assert outputs(footage, Pairing("zip")) == ["ann/a.mp4", "cay/b.mp4", "sub_bob/d.mp4"]


def test_random_pairs_are_distinct_and_follow_from_the_seed(footage: Path) -> None:
    drawn = [outputs(footage, Pairing.parse("random:4", seed)) for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert any(drawn[0] != other for other in drawn[2:])
    assert all(len(set(names)) == 4 and set(names) < set(outputs(footage, Pairing("all"))) for names in drawn)
    with pytest.raises(PipelineError, match="random:7 is more than the 6 pairs"):
        outputs(footage, Pairing.parse("random:7"))


@pytest.mark.parametrize("text", ["random", "random:0", "random:-1", "every", "random:1.5", ""])
def test_other_pairings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not all, zip or random:N"):
        Pairing.parse(text)


def test_names_that_meet_are_counted_up_also_where_they_differ_in_case(tmp_path: Path) -> None:
    for name in ("a.png", "A.jpg", "clip.mp4"):
        (tmp_path / name).touch()
    assert [job.output for job in pair_jobs(tmp_path, tmp_path / "clip.mp4", Pairing("all")).jobs] == [
        "A/clip.mp4",
        "a/clip-2.mp4",
    ]


def test_names_of_results_hold_nothing_special(tmp_path: Path) -> None:
    source = tmp_path / "..sneaky `rm` $(x)\n.png"
    source.touch()
    driving = tmp_path / ("名前" * 40 + ".mp4")
    driving.touch()
    (job,) = pair_jobs(source, driving, Pairing("all")).jobs
    folder, name = job.output.split("/")
    assert folder == "sneaky _rm_ __x__"
    assert name.startswith("名前名前")
    assert len(name.encode()) <= 110


def write(folder: Path, suffix: str, rows: list[dict[str, object]]) -> Path:
    path = folder / f"jobs.{suffix}"
    if suffix == "csv":
        lines = [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
        path.write_text("\n".join([",".join(rows[0]), *lines]))
    elif suffix == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_form_of_a_list_gives_the_same_jobs(suffix: str, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"source": "ann.png", "driving": "a.mp4", "output": "x/y", "layout": "panels"},
        {"source": "/abs/ann.png", "driving": "ds::id/video/clip", "output": None, "layout": None},
        {"source": "clip.mp4@3.2s", "driving": "s3://bucket/a.mp4", "output": "", "layout": None},
    ]
    plan = list_jobs(write(tmp_path, suffix, rows), ["layout"])
    assert plan.faults == []
    assert plan.jobs == [
        RenderJob(
            source=f"{tmp_path}/ann.png",
            driving=f"{tmp_path}/a.mp4",
            output="x/y.mp4",
            options=(("layout", "panels"),),
        ),
        RenderJob(source="/abs/ann.png", driving=f"{tmp_path}/ds::id/video/clip", output="ann/id_video_clip.mp4"),
        RenderJob(source=f"{tmp_path}/clip.mp4@3.2s", driving="s3://bucket/a.mp4", output="clip@3.2s/a.mp4"),
    ]


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ("../out.mp4", "below the output folder"),
        ("a/../../b", "below the output folder"),
        ("/etc/x.mp4", "below the output folder"),
        ("a\\b", "below the output folder"),
        ("C:x", "below the output folder"),
        (".pieces/x", "below the output folder"),
        ("a//b", "below the output folder"),
        ("a\x00b", "below the output folder"),
        ("ONCE.MP4", "that of a row before"),
        ("é" * 200, "longer than 200 bytes"),
    ],
)
def test_names_that_leave_the_folder_or_come_twice_are_faults(output: str, problem: str, tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"source": "a.png", "driving": "a.mp4", "output": name} for name in ("once", output, "another")
    ]
    plan = list_jobs(write(tmp_path, "jsonl", rows))
    assert [job.output for job in plan.jobs] == ["once.mp4", "another.mp4"]
    (fault,) = plan.faults
    assert (fault.line, fault.reason) == (2, Reason.BAD_ANNOTATION)
    assert problem in fault.problem


def test_rows_without_source_or_of_too_few_cells_are_faults(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("Source,Driving\n,a.mp4\na.png\na.png,a.mp4\n")
    plan = list_jobs(path)
    assert [job.output for job in plan.jobs] == ["a/a.mp4"]
    assert [(fault.line, fault.problem) for fault in plan.faults] == [
        (2, "source empty"),
        (3, "1 cells under 2 headings"),
    ]


def test_a_column_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("source,driving,smoth\na.png,a.mp4,none\n")
    with pytest.raises(PipelineError, match="no such column: smoth; there are source, driving, output, smooth"):
        list_jobs(path, ["smooth"])


def test_nothing_to_pair_is_told(footage: Path) -> None:
    with pytest.raises(PipelineError, match="no still picture in it"):
        pair_jobs(footage / "clips/d.mp4", footage / "clips", Pairing("all"))
    with pytest.raises(PipelineError, match="no video or folder of frames in it"):
        pair_jobs(footage / "faces", footage / "faces", Pairing("all"))
    with pytest.raises(PipelineError, match="no such file or folder"):
        pair_jobs(footage / "gone", footage / "clips", Pairing("all"))


def test_every_track_of_a_dataset_drives_its_own_first_frame_or_each_source(footage: Path) -> None:
    dataset = write_dataset(footage / "ds", [MadeTrack("ann b.", "x/1"), MadeTrack("bob", track=1)])
    plan = dataset_jobs(dataset)
    assert [(job.source, job.driving, job.output) for job in plan.jobs] == [
        (f"{dataset}::ann%20b%2E/video/x%2F1/0@0", f"{dataset}::ann%20b%2E/video/x%2F1/0", "ann b/video_x_1_0.mp4"),
        (f"{dataset}::bob/video/clip/1@0", f"{dataset}::bob/video/clip/1", "bob/video_clip_1.mp4"),
    ]
    assert [job.output for job in dataset_jobs(dataset, footage / "faces/ann.png").jobs] == [
        "ann/ann b._video_x_1_0.mp4",
        "ann/bob_video_clip_1.mp4",
    ]
    with pytest.raises(PipelineError, match="no readable table"):
        dataset_jobs(footage)

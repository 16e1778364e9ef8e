"""`render` on one core: every job ends with a video or a reason, and a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
from synthetic_dataset import MadeTrack, write_dataset

from jobs.outputs import MisuseError
from jobs.reenact import ReenactConfig
from jobs.reenact import run as reenact
from jobs.render import RenderRunConfig, run
from jobs.render_actors import CHUNK
from pipeline.crop import CropConfig
from pipeline.errors import PipelineError, Reason
from pipeline.ledger import Status
from pipeline.render_ledger import RenderRow, read_render_ledger
from pipeline.render_plan import RenderJob, RenderPlan
from pipeline.render_stages import RenderConfig
from pipeline.video import read_frames

SMALL = RenderConfig(crop=CropConfig(size=64))
FRAMES = CHUNK + 3
"""More than one chunk, and not a whole number of them."""


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    ray.init(num_cpus=1, address="local", object_store_memory=200e6, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tracks = [MadeTrack("ann", frames=FRAMES), MadeTrack("bob", frames=6), MadeTrack("cid", frames=5)]
    return write_dataset(tmp_path_factory.mktemp("made") / "ds", tracks)


def stored(dataset: Path, who: str, frame: int | None = None) -> str:
    return f"{dataset}::{who}/video/clip/0" + ("" if frame is None else f"@{frame}")


def job(dataset: Path, source: str, driving: str, output: str, **options: str) -> RenderJob:
    return RenderJob(
        source=stored(dataset, source, 0),
        driving=stored(dataset, driving),
        output=output,
        options=tuple(options.items()),
    )


@pytest.fixture(scope="module")
def jobs(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RenderJob]:
    """Three sources by three drivers, one of them broken, and a source without a face."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "broken.mp4").write_bytes(b"no video")
    people = [job(dataset, a, b, f"{a}/{b}.mp4") for a in ("ann", "bob", "cid") for b in ("ann", "bob")]
    broken = RenderJob(source=stored(dataset, "ann", 0), driving=str(folder / "broken.mp4"), output="ann/broken.mp4")
    gone = RenderJob(source=stored(dataset, "dee", 0), driving=stored(dataset, "ann"), output="dee/ann.mp4")
    return [*people, broken, gone]


@pytest.fixture(scope="module")
def finished(jobs: list[RenderJob], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("render") / "out"
    summary = run(RenderRunConfig(out=out, plan=RenderPlan(jobs, []), render=SMALL))
    assert summary == f"{out}: 6 of 8 jobs done, {3 * (FRAMES + 6)} frames, 2 failed (see {out}/ledger.parquet)"
    return out


def by_output(out: Path) -> dict[str, RenderRow]:
    return {row.output: row for row in read_render_ledger(out)}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(out: Path) -> list[str]:
    return sorted(
        str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and ".pieces" not in path.parts
    )


def test_every_job_has_a_row_with_a_video_or_a_reason(finished: Path, jobs: list[RenderJob]) -> None:
    rows = read_render_ledger(finished)
    assert [row.output for row in rows] == [one.output for one in jobs]
    assert [row.reason for row in rows if row.status == Status.FAILED] == [Reason.UNREADABLE, Reason.UNUSABLE]
    for row in rows[:6]:
        path = finished / row.output
        assert (row.bytes, row.sha256) == (path.stat().st_size, digest(path))
        assert len(list(read_frames(path))) == row.frames
    assert files(finished) == sorted([*(row.output for row in rows[:6]), "ledger.parquet", "report.html"])


def test_a_source_is_encoded_once_for_all_its_jobs_and_an_input_prepared_once(finished: Path) -> None:
    report = (finished / "report.html").read_text()
    # Sources ann, bob, cid and dee; drivers ann, bob and the broken one.
    assert re.search("8 jobs worked on in this run: 7 inputs prepared, 3 source encodings", report)


def test_a_job_is_what_reenact_writes(finished: Path, dataset: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.mp4"
    reenact(ReenactConfig(source=stored(dataset, "bob", 0), driving=stored(dataset, "ann"), out=alone, crop=SMALL.crop))
    for mine, theirs in zip(read_frames(finished / "bob/ann.mp4"), read_frames(alone), strict=True):
        assert mine.time == theirs.time
        np.testing.assert_array_equal(mine.image, theirs.image)


def test_a_second_run_does_only_what_is_missing(finished: Path, jobs: list[RenderJob], tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / "ann/bob.mp4").unlink()
    (out / "bob/bob.mp4").write_bytes(b"torn")
    (out / "ann/.ann.12345678.partial.mp4").write_bytes(b"left by a killed run")
    before = {name: (out / name).stat().st_mtime_ns for name in ("ann/ann.mp4", "cid/ann.mp4")}
    run(RenderRunConfig(out=out, plan=RenderPlan(jobs, []), render=SMALL))
    assert files(out) == files(finished)
    assert {name: row.sha256 for name, row in by_output(out).items()} == {
        name: row.sha256 for name, row in by_output(finished).items()
    }
    assert all((out / name).stat().st_mtime_ns == when for name, when in before.items())
    assert "2 jobs worked on" in (out / "report.html").read_text()


def test_failed_jobs_are_tried_again_only_where_that_is_asked_for(
    finished: Path, jobs: list[RenderJob], dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    config = RenderRunConfig(out=out, plan=RenderPlan(jobs, []), render=SMALL)
    run(config)
    assert "0 jobs worked on" in (out / "report.html").read_text()
    run(RenderRunConfig(out=out, plan=RenderPlan(jobs, []), render=SMALL, retry_failed=True))
    assert "2 jobs worked on" in (out / "report.html").read_text()


def test_other_options_are_refused_unless_results_are_to_be_replaced(
    finished: Path, jobs: list[RenderJob], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    larger = RenderRunConfig(out=out, plan=RenderPlan(jobs[3:4], []), render=RenderConfig(crop=CropConfig(size=96)))
    with pytest.raises(MisuseError, match=r"crop.size: 64 there, 96 now"):
        run(larger)
    run(RenderRunConfig(out=out, plan=larger.plan, render=larger.render, overwrite=True))
    assert files(out) == ["bob/bob.mp4", "ledger.parquet", "report.html"]
    assert next(read_frames(out / "bob/bob.mp4")).image.shape == (96, 96, 3)


def test_a_job_of_a_list_may_ask_for_itself(dataset: Path, tmp_path: Path) -> None:
    plan = RenderPlan(
        [job(dataset, "ann", "bob", "a.mp4", layout="panels"), job(dataset, "ann", "bob", "b.mp4", smooth="much")], []
    )
    run(RenderRunConfig(out=tmp_path / "out", plan=plan, render=SMALL))
    assert next(read_frames(tmp_path / "out/a.mp4")).image.shape == (64, 192, 3)
    first, second = read_render_ledger(tmp_path / "out")
    assert (first.reason, first.output) == (Reason.BAD_ANNOTATION, "")
    assert "smooth" in first.message
    assert second.status == Status.DONE


def test_what_cannot_be_written_is_that_jobs_reason_alone(dataset: Path, tmp_path: Path) -> None:
    plan = RenderPlan([job(dataset, "ann", "bob", "a.mp4"), job(dataset, "bob", "bob", "a.mp4/b.mp4")], [])
    run(RenderRunConfig(out=tmp_path / "out", plan=plan, render=SMALL))
    rows = by_output(tmp_path / "out")
    done = next(row for row in rows.values() if row.status == Status.DONE)
    (other,) = [row for row in rows.values() if row is not done]
    assert other.reason == Reason.UNWRITABLE


def test_every_job_of_a_source_that_cannot_be_used_has_its_row(dataset: Path, tmp_path: Path) -> None:
    many = [job(dataset, "nobody", "bob", f"{number}.mp4") for number in range(30)]
    run(
        RenderRunConfig(
            out=tmp_path / "out", plan=RenderPlan([*many, job(dataset, "ann", "bob", "a.mp4")], []), render=SMALL
        )
    )
    assert [row.reason for row in read_render_ledger(tmp_path / "out")] == [*[Reason.UNUSABLE] * 30, None]


def test_a_run_without_a_result_says_why(dataset: Path, tmp_path: Path) -> None:
    plan = RenderPlan([job(dataset, "nobody", "bob", "a.mp4")], [])
    with pytest.raises(PipelineError, match="no track nobody/video/clip in it"):
        run(RenderRunConfig(out=tmp_path / "out", plan=plan, render=SMALL))
    assert by_output(tmp_path / "out")["a.mp4"].reason == Reason.UNUSABLE

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.evaluation_plan import EvaluationJob, Setting, plan_jobs
from pipeline.ledger import ManifestRow


def _row(identity: str, frames: int = 8, split: str = "test") -> ManifestRow:
    return ManifestRow(
        identity=identity,
        video="v",
        clip="c",
        track=0,
        frames=frames,
        shard="shard-000000.tar",
        error_median_px=0.5,
        error_p95_px=1.0,
        jitter_px=0.1,
        split=split,
        numbers=list(range(frames)),
        offsets=list(range(frames + 1)),
    )


ROWS = [_row("ann"), _row("bob"), _row("bob~2"), _row("cid"), _row("kid", split="train"), _row("dot", frames=2)]


def test_each_driver_has_three_jobs() -> None:
    jobs = plan_jobs(ROWS, "test")
    assert [job.driving for job in jobs[::3]] == ["ann/v/c/0", "bob%7E2/v/c/0", "bob/v/c/0", "cid/v/c/0"]
    assert {job.setting for job in jobs[:3]} == set(Setting)
    assert len({job.name for job in jobs}) == len(jobs) == 12


def test_a_cross_source_is_another_person() -> None:
    for seed in range(20):
        crossed = [job for job in plan_jobs(ROWS, "test", seed=seed) if job.setting == Setting.CROSS]
        assert len(crossed) == 4
        assert all(job.source[:3] != job.driving[:3] for job in crossed)


def test_the_seed_decides_pairs_and_drivers() -> None:
    assert plan_jobs(ROWS, "test", seed=1) == plan_jobs(ROWS[::-1], "test", seed=1)
    assert any(plan_jobs(ROWS, "test", seed=1) != plan_jobs(ROWS, "test", seed=seed) for seed in range(2, 6))
    assert len({job.driving for job in plan_jobs(ROWS, "test", limit=2)}) == 2


def test_one_person_alone_has_no_cross_jobs() -> None:
    assert [job.setting for job in plan_jobs([_row("ann")], "test")] == [Setting.FIRST, Setting.FAR]


def test_listed_pairs_are_all_the_cross_jobs(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("source,driving\nann/v/c/0,bob/v/c/0\ncid/v/c/0,bob/v/c/0\n")
    crossed = [job for job in plan_jobs(ROWS, "test", pairs=table) if job.setting == Setting.CROSS]
    assert [job.source for job in crossed] == ["ann/v/c/0", "cid/v/c/0"]
    assert crossed[0].name == "cross/bob/v/c/0/by/ann/v/c/0"


def test_a_pair_that_is_not_there_is_named_with_its_line(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("source,driving\nann/v/c/0,kid/v/c/0\n")
    with pytest.raises(PipelineError, match=r"pairs.csv:2: no track 'kid/v/c/0'"):
        plan_jobs(ROWS, "test", pairs=table)


def test_a_part_without_tracks_is_refused() -> None:
    with pytest.raises(PipelineError, match="no track of 4 frames in the part 'val'"):
        plan_jobs(ROWS, "val")


def test_a_job_of_the_driver_itself_is_named_by_setting_and_driver() -> None:
    job = EvaluationJob(setting=Setting.FAR, source="ann/v/c/0", driving="ann/v/c/0")
    assert job.name == "self-far/ann/v/c/0"

"""Stages on Ray: nothing that happens to a worker loses an item, and one core is enough for a graph."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayActorError

from jobs import ray_stage
from jobs.cluster import cluster
from jobs.ray_stage import RETRIES, Failed, FailureLimit, RayStage, TooManyFailedError, run_stages
from pipeline.errors import PipelineError, Reason

STORE = 80_000_000
"""Bytes of the object store, about the least that Ray takes."""


@dataclass(frozen=True)
class Trouble:
    """which: the number with which something happens. folder: where attempts leave a mark."""

    which: int
    folder: Path


class Count:
    """n -> n times n."""

    def __init__(self, config: None) -> None:
        pass

    def __call__(self, number: int) -> Iterator[int]:
        for _ in range(number):
            yield number


class Double:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, number: int) -> int:
        return self.factor * number


class Raise:
    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble

    def __call__(self, number: int) -> int:
        if number == self.trouble.which:
            raise ZeroDivisionError("no such thing")
        return number


class Die:
    """Takes its worker with it, the first `deaths` times that it sees the number."""

    deaths = 1000

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble

    def __call__(self, number: int) -> int:
        if number == self.trouble.which:
            attempts = len(list(self.trouble.folder.iterdir()))
            if attempts < self.deaths:
                (self.trouble.folder / str(attempts)).touch()
                os.kill(os.getpid(), signal.SIGSEGV)
        return number


class DieOnce(Die):
    deaths = 1


class Fill:
    """n -> so many bytes."""

    def __init__(self, config: None) -> None:
        pass

    def __call__(self, number: int) -> bytes:
        return bytes(number)


class Weigh(Fill):
    def __call__(self, value: bytes) -> int:  # type: ignore[override]
        return len(value)


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    paths = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1])))
    ray.init(
        num_cpus=1,
        address="local",
        object_store_memory=STORE,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    yield
    ray.shutdown()


def items(count: int) -> list[tuple[str, int]]:
    return [(f"item {number}", number) for number in range(count)]


def test_a_graph_of_four_stages_runs_on_one_core_with_more_workers_than_that() -> None:
    stages = [RayStage(stage=Double, config=2, num_cpus=0.25) for _ in range(4)]
    assert sorted(run_stages(items(8), stages, workers=2)) == [(key, 16 * number) for key, number in items(8)]


def test_a_generator_gives_a_row_for_each_value_and_none_for_none() -> None:
    stages = [RayStage(stage=Count, config=None, num_cpus=0.5), RayStage(stage=Double, config=10, num_cpus=0.5)]
    results = sorted(run_stages(items(4), stages, workers=1))
    assert results == [("item 1", 10), *[("item 2", 20)] * 2, *[("item 3", 30)] * 3]


def test_an_exception_is_the_failure_of_its_item_alone(tmp_path: Path) -> None:
    stages = [
        RayStage(stage=Raise, config=Trouble(2, tmp_path), num_cpus=0.5),
        RayStage(stage=Double, config=2, num_cpus=0.5),
    ]
    results = dict(run_stages(items(4), stages, workers=1))
    failed = results.pop("item 2")
    assert results == {"item 0": 0, "item 1": 2, "item 3": 6}
    assert isinstance(failed, Failed)
    assert failed.reason == Reason.UNEXPECTED
    assert failed.message.startswith("item 2: unexpected ZeroDivisionError: no such thing (")


def test_an_item_that_kills_every_worker_is_given_up_after_the_stated_retries(tmp_path: Path) -> None:
    stages = [RayStage(stage=Die, config=Trouble(1, tmp_path), num_cpus=0.5)]
    results = dict(run_stages(items(3), stages, workers=1))
    assert results["item 1"] == Failed(Reason.WORKER_DIED, f"item 1: its worker died {RETRIES + 1} times")
    assert (results["item 0"], results["item 2"]) == (0, 2)
    assert len(list(tmp_path.iterdir())) == RETRIES + 1


def test_an_item_whose_worker_died_once_comes_out_once(tmp_path: Path) -> None:
    stages = [RayStage(stage=DieOnce, config=Trouble(1, tmp_path), num_cpus=0.5)]
    assert sorted(run_stages(items(3), stages, workers=1)) == items(3)


def test_values_of_more_bytes_than_the_object_store_holds_go_through() -> None:
    stages = [RayStage(stage=Fill, config=None, num_cpus=0.5), RayStage(stage=Weigh, config=None, num_cpus=0.5)]
    size = 8_000_000
    sizes = [(f"item {number}", size + number) for number in range(3 * STORE // size)]
    assert sorted(run_stages(sizes, stages)) == sorted(sizes)


def test_more_failures_than_accepted_stop_the_run(tmp_path: Path) -> None:
    stages = [RayStage(stage=Raise, config=Trouble(0, tmp_path), num_cpus=0.5)]
    same = [(str(number), 0) for number in range(5)]
    assert len(list(run_stages(same, stages, workers=1, limit=FailureLimit(most=5)))) == 5
    with pytest.raises(TooManyFailedError, match=r"stopped after 2 failed inputs \(--max-failed 1\)"):
        list(run_stages(same, stages, workers=1, limit=FailureLimit(most=1)))


def test_an_address_of_rays_client_is_refused_with_the_one_to_use() -> None:
    with (
        pytest.raises(PipelineError, match=r"ray://head:10001: .* say --address auto, or HOST:6379"),
        cluster("ray://head:10001"),
    ):
        pass


def test_a_cluster_within_another_leaves_it_alone() -> None:
    with cluster() as cpus:
        assert cpus == 1
    assert ray.is_initialized()


def test_nothing_of_a_run_is_left_in_a_ray_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, begin = [], ray_stage._attempts

    def remembered() -> Any:
        begun.append(begin())
        return begun[-1]

    monkeypatch.setattr(ray_stage, "_attempts", remembered)
    stages = [RayStage(stage=Double, config=2, num_cpus=0.5)]
    assert sorted(run_stages([("a", 1), ("b", 2)], stages, workers=1)) == [("a", 2), ("b", 4)]
    next(run_stages([("a", 1), ("b", 2)], stages, workers=1))  # and left there
    for actor in begun:
        with pytest.raises(RayActorError):
            ray.get(actor.begin.remote(("any",)))
    assert len(begun) == 2

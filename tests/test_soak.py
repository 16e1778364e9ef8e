"""`benchmarks/soak_verdict.py`: a leak is told from noise, and what is left behind is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.soak_verdict import trend, verdict

CLEAN: dict[str, list[str]] = {"processes": [], "scratch": [], "shared": []}


def run(*, rest: float = 0.0, files: float = 0.0, inside: float = 0.0, noise: float = 5.0) -> list[dict[str, Any]]:
    """Samples of 20 cycles in half an hour and of a long run in the other half.

    rest: MB that the driver gains a cycle. files: that it leaves open a cycle. inside: MB that all processes gain an
    hour within the long run. noise: MB, standard deviation.
    """
    chance = np.random.default_rng(0)

    def sample(phase: str, seconds: float, driver: float, tree: float, opened: float, **more: Any) -> dict[str, Any]:
        driver, tree = (1e6 * (value + noise * chance.standard_normal()) for value in (driver, tree))
        return {
            "phase": phase,
            "time": seconds,
            "driver": driver,
            "tree": tree,
            "files": opened,
            "threads": 9,
            "zombies": 3,
            **more,
        }

    samples = []
    for cycle in range(20):
        steps = range(10)
        samples += [sample("cycle", cycle * 90 + 8 * step, 350, 900 + 60 * step, 500, cycle=cycle) for step in steps]
        at_rest = {"cycle": cycle, "left": CLEAN, "outputs": ["dataset/shard-000000.tar"]}
        samples.append(sample("rest", cycle * 90 + 85, 350 + rest * cycle, 350, 30 + files * cycle, **at_rest))
    for step in range(360):
        seconds = 1800 + 5 * step
        grown = inside * seconds / 3600
        samples.append(sample("long preprocess", seconds, 360, 1500 + grown, 520))
    return samples


def test_a_flat_noisy_run_passes() -> None:
    text, flat = verdict(run(noise=20))
    assert flat, text
    assert "no process, no file" in text


@pytest.mark.parametrize(
    ("leak", "line"),
    [
        ({"rest": 2.0}, "driver between cycles"),
        ({"files": 1.0}, "its open files"),
        ({"inside": 200.0}, "all processes, long preprocess"),
    ],
)
def test_a_leak_is_caught_where_it_is(leak: dict[str, float], line: str) -> None:
    text, flat = verdict(run(**leak))
    assert not flat
    assert [found[:34].strip() for found in text.splitlines() if found.endswith("LEAKS")] == [line]


def test_warming_up_is_no_leak() -> None:
    samples = run()
    for sample in samples:
        if sample.get("cycle") in (0, 1):
            sample["driver"] -= 100e6
    assert verdict(samples)[1]


def test_the_slope_is_in_an_hour_and_bears_an_outlier() -> None:
    values = [100.0 + minute for minute in range(30)]
    values[12] = 5000
    found = trend("grows", "MB", [60.0 * minute for minute in range(30)], values)
    assert found.slope == pytest.approx(60)
    assert found.leaks


@pytest.mark.parametrize("kind", ["processes", "scratch", "shared"])
def test_what_is_left_is_named(kind: str) -> None:
    samples = run()
    rest = [sample for sample in samples if sample["phase"] == "rest"][7]
    rest["left"] = {**CLEAN, kind: ["ray::MapWorker"]}
    text, flat = verdict(samples)
    assert not flat
    assert f"cycle 7: {kind}: ray::MapWorker" in text


def test_a_file_too_many_in_the_outputs_is_named() -> None:
    samples = run()
    rest = [sample for sample in samples if sample["phase"] == "rest"][3]
    rest["outputs"] = [*rest["outputs"], "dataset/.a.partial"]
    text, flat = verdict(samples)
    assert not flat
    assert "cycle 3: outputs differ from the first: dataset/.a.partial" in text

"""What outcomes come to: means with their intervals, and the two files that others read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.atomic import atomic_path
from pipeline.confidence import LEVEL, Interval, difference, interval
from pipeline.evaluation import METRICS, Outcome
from pipeline.evaluation_plan import Setting
from pipeline.ledger import write_rows

METRICS_FILE, PER_VIDEO_FILE = "metrics.json", "per_video.parquet"

Outcomes = Mapping[str, Sequence[Outcome]]
"""By the label of a contestant."""

_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "setting", "job", "source", "driving")),
        *((name, pa.int64()) for name in ("source_frame", "frames")),
        *((metric.name, pa.float64()) for metric in METRICS),
        ("fault", pa.string()),
    ]
)


def mean_of(outcomes: Sequence[Outcome], setting: Setting, metric: str, seed: int) -> Interval | None:
    """Over the videos of a setting that have the metric."""
    return interval(list(_values(outcomes, setting, metric).values()), seed)


def gain_of(
    outcomes: Sequence[Outcome], others: Sequence[Outcome], setting: Setting, metric: str, seed: int
) -> Interval | None:
    """The metric less that of others, job by job, over those that both have."""
    ours, theirs = _values(outcomes, setting, metric), _values(others, setting, metric)
    shared = sorted(ours.keys() & theirs.keys())
    return difference([ours[name] for name in shared], [theirs[name] for name in shared], seed)


def write_metrics(outcomes: Outcomes, config: Mapping[str, Any], not_run: Mapping[str, str], out: Path) -> None:
    """Write `metrics.json`: `models`, by label, metric and setting, each with mean, low, high and videos.

    config: the options that made it. not_run: metrics and why there are none.
    """
    models = {
        label: {
            metric.name: {
                setting.value: asdict(mean)
                for setting in Setting
                if (mean := mean_of(some, setting, metric.name, config["seed"]))
            }
            for metric in METRICS
        }
        | {"failed": sum(bool(outcome.fault) for outcome in some)}
        for label, some in outcomes.items()
    }
    content = {"level": LEVEL, "config": config, "not_run": dict(not_run), "models": models}
    with atomic_path(out / METRICS_FILE) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def write_per_video(outcomes: Outcomes, out: Path) -> None:
    """Write `per_video.parquet`, a row a contestant and job."""
    rows = [
        {
            "model": label,
            "setting": outcome.setting.value,
            "job": outcome.name,
            "source": outcome.source,
            "driving": outcome.driving,
            "source_frame": outcome.source_frame,
            "frames": outcome.frames,
            **{metric.name: outcome.values.get(metric.name) for metric in METRICS},
            "fault": outcome.fault,
        }
        for label, some in outcomes.items()
        for outcome in some
    ]
    write_rows(rows, _SCHEMA, out / PER_VIDEO_FILE)


def _values(outcomes: Sequence[Outcome], setting: Setting, metric: str) -> dict[str, float]:
    """By job."""
    chosen = ((outcome.name, outcome.values.get(metric)) for outcome in outcomes if outcome.setting == setting)
    return {name: value for name, value in chosen if value is not None}

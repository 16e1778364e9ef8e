"""What outcomes come to: means with their intervals, and the two files that others read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.atomic import atomic_path
from pipeline.confidence import LEVEL, Interval, difference, interval
from pipeline.errors import PipelineError
from pipeline.evaluation import TRUTH, Outcome, features_path
from pipeline.evaluation_columns import FID, METRICS
from pipeline.evaluation_plan import Setting
from pipeline.frechet import frechet_distance
from pipeline.ledger import write_rows

METRICS_FILE, PER_VIDEO_FILE = "metrics.json", "per_video.parquet"

_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("model", "setting", "job", "source", "driving")),
        *((name, pa.int64()) for name in ("source_frame", "frames")),
        *((metric.name, pa.float64()) for metric in METRICS),
        ("fault", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """All that was judged. outcomes: by the label of a contestant, jobs in order. seed: of the intervals.

    not_run: columns, and why there are none. size: side in pixels of the pictures. sizes: those at which some
    contestants work. out: the folder of the table.
    """

    outcomes: Mapping[str, Sequence[Outcome]]
    seed: int
    not_run: Mapping[str, str]
    size: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    out: Path

    def pairs(self) -> list[tuple[str, str]]:
        """Each two contestants, the later one first."""
        return [(later, earlier) for earlier, later in combinations(self.outcomes, 2)]

    def mean(self, label: str, setting: Setting, metric: str) -> Interval | None:
        """Over the videos of a setting that have the metric."""
        return interval(list(_values(self.outcomes[label], setting, metric).values()), self.seed)

    def gain(self, label: str, other: str, setting: Setting, metric: str) -> Interval | None:
        """The metric less that of the other, job by job, over those that both have."""
        ours, theirs = (_values(self.outcomes[name], setting, metric) for name in (label, other))
        shared = sorted(ours.keys() & theirs.keys())
        return difference([ours[name] for name in shared], [theirs[name] for name in shared], self.seed)

    def fid(self, label: str, setting: Setting) -> Fid | None:
        """Of all results of a setting, beside all pictures of their drivers. None where it was not run.

        Raises PipelineError where features that should be there are not.
        """
        judged = [one for one in self.outcomes[label] if one.setting == setting and not one.fault]
        if FID in self.not_run or not judged:
            return None
        results = [_read_features(self.out, label, one.name) for one in judged]
        truths = [_read_features(self.out, TRUTH, driver) for driver in sorted({one.driving for one in judged})]
        made, real = np.concatenate(results), np.concatenate(truths)
        if min(len(made), len(real)) < 2:
            return None
        return Fid(frechet_distance(made, real), len(made))


class Fid(NamedTuple):
    """frames: how many results it is of; only values of as many frames can be compared."""

    value: float
    frames: int


def write_metrics(table: Table, config: Mapping[str, Any]) -> None:
    """Write `metrics.json`.

    `models`: by label, metric and setting, each with mean, low, high and videos. `differences`: the same of each two
    models, video by video. `not_run`: metrics and why there are none. config: the options that made it.
    """
    models = {
        label: {
            metric.name: {
                setting.value: asdict(mean) for setting in Setting if (mean := table.mean(label, setting, metric.name))
            }
            for metric in METRICS
        }
        | {FID: {setting.value: fid._asdict() for setting in Setting if (fid := table.fid(label, setting))}}
        | {"works_at": table.sizes.get(label, table.size), "failed": sum(bool(outcome.fault) for outcome in some)}
        for label, some in table.outcomes.items()
    }
    differences = [
        {"model": label, "less": other}
        | {
            metric.name: {
                setting.value: asdict(gain)
                for setting in Setting
                if (gain := table.gain(label, other, setting, metric.name))
            }
            for metric in METRICS
        }
        for label, other in table.pairs()
    ]
    content = {
        "level": LEVEL,
        "config": config,
        "not_run": dict(table.not_run),
        "models": models,
        "differences": differences,
    }
    with atomic_path(table.out / METRICS_FILE) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def write_per_video(table: Table) -> None:
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
        for label, some in table.outcomes.items()
        for outcome in some
    ]
    write_rows(rows, _SCHEMA, table.out / PER_VIDEO_FILE)


def _values(outcomes: Sequence[Outcome], setting: Setting, metric: str) -> dict[str, float]:
    """By job."""
    chosen = ((outcome.name, outcome.values.get(metric)) for outcome in outcomes if outcome.setting == setting)
    return {name: value for name, value in chosen if value is not None}


def _read_features(out: Path, whose: str, name: str) -> NDArray[np.float32]:
    path = features_path(out, whose, name)
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise PipelineError(f"{path}: cannot be read, and FID needs it; judge {whose} again in a new folder") from error

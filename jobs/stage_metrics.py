"""What stages do, counted for Ray's metrics, which Prometheus collects from the nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ray.util.metrics import Counter, Histogram

_SECONDS = [0.01, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]


class Counted(NamedTuple):
    """Of a result. frames: that it says it holds. reason: why it is nothing, or less than it could be."""

    frames: int
    reason: str

    @classmethod
    def of(cls, result: Any) -> Counted:
        """result: with `frames`, `fault` or `reason` of its own, or without, where that is none of its concerns."""
        frames = getattr(result, "frames", 0)
        reason = getattr(getattr(result, "fault", None) or result, "reason", None)
        return cls(frames if isinstance(frames, int) else 0, str(reason or ""))


class StageMetrics:
    """Of one stage, in the process of its worker: gdpw_items, gdpw_frames, gdpw_seconds and gdpw_failures.

    All have the tag `stage`, failures also `reason`. Seconds are those of an item.
    """

    def __init__(self, stage: str) -> None:
        tags = {"stage": stage}
        self._items = Counter("gdpw_items", "Items that the stage has done.", ("stage",))
        self._frames = Counter("gdpw_frames", "Frames in its results.", ("stage",))
        self._seconds = Histogram("gdpw_seconds", "Seconds that an item took.", _SECONDS, ("stage",))
        self._failures = Counter("gdpw_failures", "Items that came to nothing, by reason.", ("stage", "reason"))
        for metric in (self._items, self._frames, self._seconds, self._failures):
            metric.set_default_tags(tags)

    def add(self, seconds: float, outcomes: Iterable[Counted]) -> None:
        """Count an item, and what came of it."""
        self._items.inc()
        self._seconds.observe(seconds)
        for outcome in outcomes:
            if outcome.frames:
                self._frames.inc(outcome.frames)
            if outcome.reason:
                self._failures.inc(tags={"reason": outcome.reason})

"""What a soak's samples say: does anything grow for longer than it warms up, and is anything left behind?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from scipy.stats import theilslopes

WARM_UP = 2
"""Cycles that do not count: libraries load and caches fill."""
MOST = {"MB": 30.0, "": 20.0}
"""Growth an hour that is taken for noise: of memory, and of counts."""

Sample = dict[str, Any]


class Trend(NamedTuple):
    """How fast a series grows an hour (Theil-Sen: median of the slopes of all pairs), with its 95 % interval."""

    what: str
    unit: str
    points: int
    slope: float
    low: float
    high: float

    @property
    def leaks(self) -> bool:
        """Whether it surely grows, and by more than noise."""
        return self.low > 0 and self.slope > MOST[self.unit]

    def __str__(self) -> str:
        unit = f"{self.unit or 'of them'}/hour"
        interval = f"{self.slope:+8.1f} {unit} ({self.low:+.1f} to {self.high:+.1f}, {self.points} points)"
        return f"{self.what:34} {interval}{'  LEAKS' if self.leaks else ''}"


def trend(what: str, unit: str, times: Sequence[float], values: Sequence[float]) -> Trend:
    """times: seconds. Fewer than three points say nothing: a slope of 0 between infinities."""
    if len(times) < 3:
        return Trend(what, unit, len(times), 0.0, -float("inf"), float("inf"))
    slope, _, low, high = theilslopes(values, [seconds / 3600 for seconds in times])
    return Trend(what, unit, len(times), float(slope), float(low), float(high))


def trends(samples: list[Sample]) -> list[Trend]:
    """Of the driver between cycles, of all processes within them, and in the long runs without their first third."""
    rests = [sample for sample in samples if sample["phase"] == "rest" and "left" in sample][WARM_UP:]
    times = [sample["time"] for sample in rests]
    found = [
        trend("driver between cycles", "MB", times, [sample["driver"] / 1e6 for sample in rests]),
        trend("all processes between cycles", "MB", times, [sample["tree"] / 1e6 for sample in rests]),
        trend("its open files", "", times, [sample["files"] for sample in rests]),
        trend("its threads", "", times, [sample["threads"] for sample in rests]),
        trend("its children not waited for", "", times, [sample["zombies"] for sample in rests]),
    ]
    peaks: dict[int, Sample] = {}
    for sample in samples:
        if sample["phase"] == "cycle" and sample["cycle"] >= WARM_UP:
            former = peaks.setdefault(sample["cycle"], sample)
            peaks[sample["cycle"]] = max(former, sample, key=lambda one: one["tree"])
    times, sizes = [peak["time"] for peak in peaks.values()], [peak["tree"] / 1e6 for peak in peaks.values()]
    found.append(trend("all processes, peak of a cycle", "MB", times, sizes))
    for phase in ("long preprocess", "long render"):
        run = [sample for sample in samples if sample["phase"] == phase]
        run = run[len(run) // 3 :]
        times = [sample["time"] for sample in run]
        found.append(trend(f"all processes, {phase}", "MB", times, [sample["tree"] / 1e6 for sample in run]))
        found.append(trend(f"driver, {phase}", "MB", times, [sample["driver"] / 1e6 for sample in run]))
        found.append(trend(f"open files, {phase}", "", times, [sample["files"] for sample in run]))
    return found


def left_behind(samples: list[Sample]) -> list[str]:
    """What was there after a cycle that should not be, a line each."""
    rests = [sample for sample in samples if "left" in sample]
    lines = []
    for rest in rests:
        for kind in ("processes", "scratch", "shared"):
            new = set(rest["left"][kind]) - _kept(rests, kind)
            lines += [f"cycle {rest['cycle']}: {kind}: {name}" for name in sorted(new)]
        if rest["phase"] == "rest" and rest["outputs"] != rests[0]["outputs"]:
            other = sorted(set(rest["outputs"]) ^ set(rests[0]["outputs"]))
            lines.append(f"cycle {rest['cycle']}: outputs differ from the first: {', '.join(other[:5])}")
    return lines


def _kept(rests: list[Sample], kind: str) -> set[str]:
    """Files of fixed names that libraries keep, such as torch's caches, are there after the first and the last."""
    return set(rests[0]["left"][kind]) & set(rests[-1]["left"][kind]) if kind == "scratch" else set()


def verdict(samples: list[Sample]) -> tuple[str, bool]:
    """Lines for people, and whether nothing leaks."""
    found, left = trends(samples), left_behind(samples)
    cycles = sum("left" in sample for sample in samples)
    tops = {phase: max((s["tree"] for s in samples if s["phase"] == phase), default=0) for phase in _PHASES}
    lines = [*map(str, found)]
    lines += [f"most memory of all processes, {phase}: {top / 1e6:,.0f} MB" for phase, top in tops.items()]
    lines += [f"left after {cycles} cycles and long runs: {'; '.join(left[:20]) if left else 'no process, no file'}"]
    return "\n".join(lines), not left and not any(one.leaks for one in found)


_PHASES = ("cycle", "long preprocess", "long render")

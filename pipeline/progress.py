"""How far a run of preprocess or render has come, by its pieces alone: also from elsewhere, while it goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.assembly import RUN
from pipeline.errors import PipelineError
from pipeline.ledger import LedgerRow, Status
from pipeline.pieces import Pieces
from pipeline.plan import ClipResult
from pipeline.render_ledger import RenderRow

RECENT = 600.0
"""Seconds whose results tell the pace: long enough for many clips, short enough for nodes that come and go."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """clips: planned, or jobs; what: which of both. statuses, reasons: how many ended so. frames: in what is written.

    missing: clips that the present run had to do at its start; since: how many of them it has done. last: when the last
    one was, seconds since the epoch; its start if none. recent: how many were done in the `RECENT` seconds before that,
    or from its start on, with recent_frames frames in recent_seconds. All times are of the clock of the machine that
    runs it.
    """

    what: str = "clips"
    clips: int
    statuses: Counter[str]
    reasons: Counter[str]
    frames: int
    missing: int
    since: int
    last: float
    recent: int
    recent_frames: int
    recent_seconds: float

    @property
    def frames_per_second(self) -> float:
        return self.recent_frames / self.recent_seconds if self.recent_seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the recent pace of the present run; None before its first result."""
        return self.recent_seconds / self.recent * (self.missing - self.since) if self.recent else None


def read_progress(out: Path) -> Progress:
    """Raises PipelineError where no run has begun."""
    pieces = Pieces(out)
    run = pieces.get(RUN) if pieces.begun else None
    if run is None:
        raise PipelineError(f"{out}: no run of preprocess or render has begun here")
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    frames, start, results = 0, float(run["start"]), []
    for key, piece in pieces.read_all():
        if " " in key:
            continue
        row = _row(piece["result"])
        statuses[row.status] += 1
        if row.status != Status.DONE and row.reason:
            reasons[row.reason] += 1
        frames += row.frames
        if piece["time"] >= start:
            results.append((piece["time"], row.frames))
    last = max((when for when, _ in results), default=start)
    begin = max(start, last - RECENT)
    recent = [count for when, count in results if when >= begin]
    return Progress(
        what=run.get("what", "clips"),
        clips=run["clips"],
        statuses=statuses,
        reasons=reasons,
        frames=frames,
        missing=run["missing"],
        since=len(results),
        last=last,
        recent=len(recent),
        recent_frames=sum(recent),
        recent_seconds=last - begin,
    )


def _row(result: dict[str, Any]) -> LedgerRow | RenderRow:
    return RenderRow.of_json(result) if "sha256" in result else ClipResult(**result).row()

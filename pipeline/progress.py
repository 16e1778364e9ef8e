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


@dataclass(frozen=True, kw_only=True)
class Progress:
    """clips: planned, or jobs; what: which of both. statuses, reasons: how many ended so. frames: in what is written.

    missing: clips that the present run had to do at its start; since: how many of them it has done, with frames_since
    frames. seconds: from its start to its last result. last: when that was, seconds since the epoch; its start if none.
    """

    what: str = "clips"
    clips: int
    statuses: Counter[str]
    reasons: Counter[str]
    frames: int
    missing: int
    since: int
    frames_since: int
    seconds: float
    last: float

    @property
    def frames_per_second(self) -> float:
        return self.frames_since / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the pace of the present run so far, its start included; None before its first result."""
        return self.seconds / self.since * (self.missing - self.since) if self.since else None


def read_progress(out: Path) -> Progress:
    """Raises PipelineError where no run has begun."""
    pieces = Pieces(out)
    run = pieces.get(RUN) if pieces.begun else None
    if run is None:
        raise PipelineError(f"{out}: no run of preprocess or render has begun here")
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    frames = since = frames_since = 0
    last = float(run["start"])
    for key, piece in pieces.read_all():
        if " " in key:
            continue
        row = _row(piece["result"])
        statuses[row.status] += 1
        if row.status != Status.DONE and row.reason:
            reasons[row.reason] += 1
        frames += row.frames
        if piece["time"] >= run["start"]:
            since, frames_since, last = since + 1, frames_since + row.frames, max(last, piece["time"])
    return Progress(
        what=run.get("what", "clips"),
        clips=run["clips"],
        statuses=statuses,
        reasons=reasons,
        frames=frames,
        missing=run["missing"],
        since=since,
        frames_since=frames_since,
        seconds=last - run["start"],
        last=last,
    )


def _row(result: dict[str, Any]) -> LedgerRow | RenderRow:
    return RenderRow.of_json(result) if "sha256" in result else ClipResult(**result).row()

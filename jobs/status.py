"""How far a run is, for people."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from jobs.table import aligned
from pipeline.ledger import LEDGER, Status
from pipeline.progress import Progress, read_progress


def run(out: Path) -> str:
    """Raises PipelineError where no run of preprocess or render has begun."""
    return report(read_progress(out), finished=(out / LEDGER).exists(), now=time.time())


def report(progress: Progress, *, finished: bool, now: float) -> str:
    """A line for each status and reason, then speed and what is left.

    finished: whether there is a ledger. now: seconds since the epoch.
    """
    known = progress.statuses.total()
    rows = [(progress.what, f"{known} of {progress.clips}")]
    rows += [(status.value, str(progress.statuses[status])) for status in Status]
    rows += [(f"  {reason}", str(count)) for reason, count in progress.reasons.most_common()]
    rows += [("frames", str(progress.frames))]
    if progress.since:
        rows += [("frames/s", f"{progress.frames_per_second:.1f}")]
    if known >= progress.clips and finished:
        return aligned([*rows, ("left", "nothing")])
    silence = now - progress.last
    rows += [("last result", f"{_span(silence)} ago" if progress.since else "none yet in this run")]
    left = progress.seconds_left
    rows += [
        ("left", "not known yet" if left is None else f"about {_span(left)} at the recent pace of this run, if it runs")
    ]
    return aligned(rows)


def _span(seconds: float) -> str:
    return str(timedelta(seconds=max(round(seconds), 0)))

"""A page that shows what `render` made: posters, speeds, and why jobs gave nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from pipeline.atomic import atomic_path
from pipeline.html import Html, Picture, charts, histogram, page, paragraph, section, strip, table
from pipeline.ledger import Status
from pipeline.render_ledger import RenderRow
from pipeline.video import read_frames

REPORT = "report.html"
_POSTERS = 24
_POSTER_SIDE = 256
_REASONS_SHOWN = 200


def write_report(rows: Sequence[RenderRow], work: str, folder: Path) -> None:
    """Write `folder`/report.html, whole or not at all. work: what the run did, for people."""
    with atomic_path(folder / REPORT) as partial:
        partial.write_text(page(f"{folder.absolute().name}: rendered videos", *_blocks(rows, work, folder)))


def _blocks(rows: Sequence[RenderRow], work: str, folder: Path) -> Iterator[Html]:
    done = [row for row in rows if row.status == Status.DONE]
    lacking = [row for row in rows if row.status != Status.DONE]
    ended = Counter(row.status for row in rows)
    yield paragraph(work)
    yield table(["status", "jobs"], [[status.value, ended[status]] for status in Status])
    step = max(len(done) // _POSTERS, 1)
    yield section("Posters", strip(_posters(done[::step][:_POSTERS], folder)))
    if done:
        frames, seconds = sum(row.frames for row in done), sum(row.seconds for row in done)
        yield section(
            "Speed",
            paragraph(f"{frames:,} frames in {seconds:,.0f} s of all writers together"),
            charts(
                histogram([row.frames / row.seconds for row in done if row.seconds], "frames a second and writer"),
                histogram([row.frames for row in done], "frames of a job"),
            ),
        )
    if lacking:
        reasons = Counter(row.reason.value for row in lacking if row.reason)
        shown = [[row.output, row.status.value, row.reason or "", row.message] for row in lacking[:_REASONS_SHOWN]]
        yield section("Why jobs gave nothing", table(["reason", "jobs"], reasons.most_common()))
        yield section(f"The first {len(shown)} of them", table(["job", "status", "reason", "message"], shown))


def _posters(rows: Sequence[RenderRow], folder: Path) -> Iterator[Picture]:
    """The middle picture of each video, small."""
    for row in rows:
        image = next(read_frames(folder / row.output, first=row.frames // 2)).image
        scale = min(_POSTER_SIDE / max(image.shape[:2]), 1)
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield Picture(small.astype(np.uint8, copy=False), f"{row.output}: {row.frames} frames")

"""A page that shows how good a dataset is: what came of its inputs, who is in it, how well the mesh fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic import atomic_path
from pipeline.html import Html, Picture, charts, histogram, page, paragraph, section, strip, table
from pipeline.inspection import Inspection
from pipeline.ledger import Status
from pipeline.overlay import MeshPen, draw_points
from pipeline.shards import Sample

REPORT = "report.html"
_IDENTITIES_SHOWN, _INPUTS_SHOWN = 30, 200
_ENLARGED = 2


def write_report(inspection: Inspection, faces: NDArray[np.int64] | None) -> Path:
    """Write `report.html` into the dataset's folder, whole or not at all.

    faces: (F, 3) triangles of its face model; without them the pictures show the vertices as points.
    """
    path = inspection.dataset.folder / REPORT
    with atomic_path(path) as partial:
        name = inspection.dataset.folder.absolute().name
        partial.write_text(page(f"{name}: faces and their meshes", *_blocks(inspection, faces)), encoding="utf-8")
    return path


def _blocks(inspection: Inspection, faces: NDArray[np.int64] | None) -> Iterator[Html]:
    yield _totals(inspection)
    yield _what_came_of_the_inputs(inspection)
    yield _people(inspection)
    yield _heads_and_fits(inspection)
    note = paragraph(f"{_drawn(inspection, faces)}; one frame a track, with the median error of its landmarks.")
    yield section("Best frames", note, _pictures(inspection.best, faces))
    yield section("Worst frames", note, _pictures(inspection.worst, faces))
    yield _speed(inspection)
    options = [[name, str(value)] for name, value in inspection.dataset.config.items()]
    yield section("Options", table(["option", "value"], [["face model", str(inspection.dataset.face_model)], *options]))


def _drawn(inspection: Inspection, faces: NDArray[np.int64] | None) -> str:
    if "vertices" not in inspection.dataset.arrays:
        return "The picture as stored; meshes are not"
    drawn = "The fitted mesh" if faces is not None else "The vertices of the fitted mesh"
    return f"{drawn} on the picture as stored"


def _totals(inspection: Inspection) -> Html:
    tracks = inspection.tracks
    rows = [
        ["frames", inspection.frames],
        ["tracks", len(tracks)],
        ["people", len(set(tracks.column("identity")))],
        ["videos", len(set(zip(tracks.column("identity"), tracks.column("video"), strict=True)))],
        ["shards", len(set(tracks.column("shard")))],
        *([f"frames to {part}", frames] for part, frames in inspection.frames_by_split().items()),
    ]
    return table(["", "count"], rows)


def _what_came_of_the_inputs(inspection: Inspection) -> Html:
    lacking = [row for row in inspection.inputs if row.reason]
    shown = [[row.input, row.status.value, row.reason, row.message] for row in lacking[:_INPUTS_SHOWN]]
    blocks = [table(["status", "inputs"], [[status.value, inspection.count(status)] for status in Status])]
    if lacking:
        reasons = [[reason.value, status.value, count] for reason, status, count in inspection.reasons()]
        blocks += [
            table(["reason", "status", "inputs"], reasons),
            paragraph(f"The first {len(shown)} of {len(lacking)} inputs that gave nothing, or less than they hold:"),
            table(["input", "status", "reason", "message"], shown),
        ]
    return section("What came of the inputs", *blocks)


def _people(inspection: Inspection) -> Html:
    frames = inspection.frames_by_identity()
    rows = [[identity, count] for identity, count in list(frames.items())[:_IDENTITIES_SHOWN]]
    shown = f"The {len(rows)} with most frames of {len(frames)}:"
    lengths = histogram(inspection.tracks.column("frames"), "frames of a track")
    drawn = charts(histogram(list(frames.values()), "frames of a person"), lengths)
    return section("People", drawn, paragraph(shown), table(["identity", "frames"], rows))


def _heads_and_fits(inspection: Inspection) -> Html:
    return section(
        "Heads and fits",
        paragraph(f"Errors of {len(inspection.error_px):,} frames, spread evenly; pixels are those of the crops."),
        charts(
            histogram(inspection.yaw, "yaw, degrees to the picture's right"),
            histogram(inspection.pitch, "pitch, degrees up"),
            histogram(inspection.error_px, "median landmark error of a frame, px"),
            histogram(inspection.tracks.column("error_p95_px"), "95th percentile of a track's errors, px"),
            histogram(inspection.tracks.column("jitter_px"), "jitter of a track, px"),
        ),
    )


def _pictures(samples: list[Sample], faces: NDArray[np.int64] | None) -> Html:
    pen = MeshPen(faces, _ENLARGED) if faces is not None else draw_points
    return strip(
        Picture(pen(sample.image, sample.vertices) if "vertices" in sample.arrays else sample.image, _caption(sample))
        for sample in samples
    )


def _caption(sample: Sample) -> str:
    key = sample.key
    return f"{sample.error_median_px:.2f} px: {key.identity}, {key.video}, {key.clip}, frame {key.frame}"


def _speed(inspection: Inspection) -> Html:
    worked = [row for row in inspection.inputs if row.frames and row.seconds]
    total = f"{inspection.seconds:,.1f} s of work on all inputs"
    rate = f", {inspection.frames / inspection.seconds:,.1f} frames a second" if inspection.seconds else ""
    return section(
        "Speed",
        paragraph(f"{total}{rate}. Workers add up: this is not the time that passed."),
        table(["stage", "seconds", "frames a second"], _stages(inspection)),
        charts(histogram([row.frames / row.seconds for row in worked], "frames a second, of an input")),
    )


def _stages(inspection: Inspection) -> list[list[object]]:
    timed = {name: seconds for name, seconds in inspection.seconds_by_stage().items() if seconds}
    return [[name, round(seconds, 1), round(inspection.frames / seconds, 1)] for name, seconds in timed.items()]

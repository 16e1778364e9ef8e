"""How good a dataset is, in text and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fit_deca.head import load_generic_head
from fit_deca.model_file import load_face_model
from jobs.table import aligned
from pipeline.dataset import refuse_mix
from pipeline.inspection import Inspection, inspect_dataset
from pipeline.ledger import Status
from pipeline.report import write_report
from pipeline.shards import FaceModelStamp

_PEOPLE_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """dataset: its folder. face_model: the one it was made with; only to draw its triangles."""

    dataset: Path
    face_model: Path | None = None


def run(config: InspectConfig) -> str:
    """Write `report.html` into the dataset. Returns what it holds, for people.

    Raises PipelineError if there is no dataset, or one that was made with another face model than the named one.
    """
    inspection = inspect_dataset(config.dataset)
    report = write_report(inspection, _triangles(config, inspection.dataset.face_model))
    return f"{describe(inspection)}\n\n{report}: the same with pictures"


def describe(inspection: Inspection) -> str:
    """Totals, reasons, people, and how well the mesh fits, a few lines each."""
    tracks = inspection.tracks
    ended = ", ".join(f"{inspection.count(status)} {status.value}" for status in Status)
    parts = ", ".join(f"{frames} to {part}" for part, frames in inspection.frames_by_split().items())
    people = inspection.frames_by_identity()
    lines = [
        ("frames", f"{inspection.frames} in {len(tracks)} tracks of {len(people)} people ({parts})"),
        ("inputs", f"{len(inspection.inputs)}: {ended}"),
        *((reason.value, f"{count} {status.value}") for reason, status, count in inspection.reasons()),
        ("most frames", ", ".join(f"{name} {frames}" for name, frames in list(people.items())[:_PEOPLE_SHOWN])),
        ("yaw", f"{_range(inspection.yaw)} degrees"),
        ("pitch", f"{_range(inspection.pitch)} degrees"),
        ("error", f"{_range(inspection.error_px)} px"),
        ("jitter", f"{_range(np.array(tracks.column('jitter_px')))} px"),
        ("speed", _speed(inspection)),
        ("face model", str(inspection.dataset.face_model)),
    ]
    return aligned(lines)


def _range(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "no"
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"median {median:.2f}, 5 to 95 % {low:.2f} to {high:.2f}"


def _speed(inspection: Inspection) -> str:
    if not inspection.seconds:
        return "not measured"
    stages = ", ".join(
        f"{name} {inspection.frames / seconds:.1f}"
        for name, seconds in inspection.seconds_by_stage().items()
        if seconds
    )
    return f"{inspection.frames / inspection.seconds:.1f} frames a second of work ({stages})"


def _triangles(config: InspectConfig, stamp: FaceModelStamp) -> NDArray[np.int64] | None:
    """Of the dataset's face model, where it is at hand."""
    if config.face_model is not None:
        model = load_face_model(config.face_model)
        refuse_mix(config.dataset, stamp, FaceModelStamp.of(model))
        return model.faces
    head = load_generic_head()
    return head.faces if FaceModelStamp.of(head).hash == stamp.hash else None

"""How good a dataset is: what its tables say, and a look at some of its frames."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fit_deca.codes import CODE_SIZES
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import Reason
from pipeline.ledger import LedgerRow, Manifest, ManifestRow, Status, read_ledger
from pipeline.shards import Sample

_LOOKED_AT = 1000
"""Frames, spread evenly over the dataset, whose head poses and errors are looked at: a few seconds."""
_SHOWN, _LOOKED_AT_OF_TRACK = 6, 50
"""Frames shown as the best and as the worst, each of another track, and how many are looked at to find each."""

_POSE = slice(sum(CODE_SIZES[name] for name in ("shape", "expression")), None)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A dataset, examined.

    yaw, pitch, error_px: (N,) of some of its frames, spread evenly: degrees to the picture's right, degrees up, pixels.
    Of a dataset without codes, yaw and pitch are empty.
    best, worst: a frame of each of the tracks that fit best and worst.
    """

    dataset: Dataset
    inputs: list[LedgerRow]
    yaw: NDArray[np.float64]
    pitch: NDArray[np.float64]
    error_px: NDArray[np.float64]
    best: list[Sample]
    worst: list[Sample]

    @property
    def tracks(self) -> Manifest:
        return self.dataset.tracks

    @property
    def frames(self) -> int:
        return sum(self.tracks.column("frames"))

    @property
    def seconds(self) -> float:
        """Of work on all inputs together."""
        return sum(row.seconds for row in self.inputs)

    def seconds_by_stage(self) -> dict[str, float]:
        tracking = sum(row.tracking for row in self.inputs)
        return {"decode and track": tracking, "crop, fit and write": self.seconds - tracking}

    def count(self, status: Status) -> int:
        return sum(row.status == status for row in self.inputs)

    def reasons(self) -> list[tuple[Reason, Status, int]]:
        """How often inputs gave nothing, or less than they hold, for a reason; the most frequent one first."""
        counts = Counter((row.reason, row.status) for row in self.inputs if row.reason)
        return [(reason, status, count) for (reason, status), count in counts.most_common()]

    def frames_by_identity(self) -> dict[str, int]:
        """The one with most frames first."""
        return self._frames_by("identity")

    def frames_by_split(self) -> dict[str, int]:
        return self._frames_by("split")

    def _frames_by(self, column: str) -> dict[str, int]:
        counts = Counter[str]()
        for name, frames in zip(self.tracks.column(column), self.tracks.column("frames"), strict=True):
            counts[name] += frames
        return dict(counts.most_common())


def inspect_dataset(folder: Path) -> Inspection:
    """Examine a dataset. Raises PipelineError where there is none that can be read."""
    dataset = open_dataset(folder)
    looked_at = list(_spread(dataset, _LOOKED_AT))
    codes = [sample.codes for sample in looked_at] if "codes" in dataset.arrays else []
    yaw, pitch = _directions(np.stack(codes)) if codes else (np.empty(0),) * 2
    best = np.argsort(dataset.tracks.column("error_median_px"), kind="stable")[:_SHOWN].tolist()
    worst = np.argsort(-np.array(dataset.tracks.column("error_p95_px")), kind="stable")[:_SHOWN].tolist()
    return Inspection(
        dataset=dataset,
        inputs=read_ledger(folder),
        yaw=yaw,
        pitch=pitch,
        error_px=np.array([sample.error_median_px for sample in looked_at]),
        best=[min(_some(dataset, row), key=_error) for row in map(dataset.tracks.__getitem__, best)],
        worst=[max(_some(dataset, row), key=_error) for row in map(dataset.tracks.__getitem__, worst)],
    )


def _spread(dataset: Dataset, most: int) -> Iterator[Sample]:
    """Every n-th frame of all tracks taken together, at most so many."""
    frames = dataset.tracks.column("frames")
    step, before = _step(sum(frames), most), 0
    for place, count in enumerate(frames):
        for index in range(-before % step, count, step):
            yield dataset.read_sample(dataset.tracks[place], index)
        before += count


def _some(dataset: Dataset, row: ManifestRow) -> list[Sample]:
    """Every n-th frame of a track."""
    return [dataset.read_sample(row, index) for index in range(0, row.frames, _step(row.frames, _LOOKED_AT_OF_TRACK))]


def _step(frames: int, most: int) -> int:
    return max(math.ceil(frames / most), 1)


def _error(sample: Sample) -> float:
    return sample.error_median_px


def _directions(codes: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the heads of (N, 165) codes look: degrees to the picture's right, and up."""
    x, y, z = Rotation.from_rotvec(codes[:, _POSE][:, :3]).apply([0, 0, 1]).T
    return np.degrees(np.arctan2(x, z)), np.degrees(np.arctan2(y, np.hypot(x, z)))

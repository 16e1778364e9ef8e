"""The stage of `evaluate`: a driver and its jobs -> what each result is worth, a video at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.codes import Codes
from fit_deca.rotation import axis_angle_to_matrix
from pipeline import metrics
from pipeline.atomic import atomic_path
from pipeline.contestants import ContestantConfig, load_contestant
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import InputError
from pipeline.evaluation_columns import METRICS
from pipeline.evaluation_networks import NetworkName, Networks, Values
from pipeline.evaluation_plan import EvaluationJob, Setting
from pipeline.evaluation_strip import strip_path, write_strip
from pipeline.fit import FitConfig
from pipeline.ledger import ManifestRow
from pipeline.observer import Observer, Seen
from pipeline.performance import Performance
from pipeline.render import Take
from pipeline.shards import FaceModelStamp, Sample

STRIPS, FEATURES = "strips", "features"
TRUTH = ".truth"


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What decides the numbers of a contestant.

    frames: of each driver, from its first on. size: side in pixels at which all is done; None is the dataset's.
    networks: those that look, at every so manieth frame. out: where each job leaves a strip of pictures and, for FID,
    Inception's features.
    """

    dataset: Path
    contestant: ContestantConfig
    out: Path
    frames: int = 50
    size: int | None = None
    networks: tuple[NetworkName, ...] = ()
    perceptual_step: int = 5
    fit: FitConfig = field(default_factory=FitConfig)


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """All jobs of one driver, and the manifest's rows of the tracks that they name."""

    jobs: Sequence[EvaluationJob]
    rows: dict[str, ManifestRow]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One job. values: by metric, None where it does not apply. fault: why there are none, one line.

    source_frame: number of the source's frame in its clip. frames: how many were compared.
    """

    name: str
    setting: Setting
    source: str
    driving: str
    source_frame: int = -1
    frames: int = 0
    values: Values = field(default_factory=dict)
    fault: str = ""

    @classmethod
    def of(cls, job: EvaluationJob, **known: Any) -> Outcome:
        return cls(name=job.name, setting=job.setting, source=job.source, driving=job.driving, **known)

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON holds it; `of_json` gives it back."""
        return asdict(self)

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Outcome:
        return cls(**{**stored, "setting": Setting(stored["setting"])})


class Evaluate:
    """Assignment -> outcomes, one a job.

    Raises what opening the dataset, the contestant and the networks raise, and PipelineError for a dataset without
    codes.
    """

    def __init__(self, config: EvaluationConfig) -> None:
        self.config = config
        self._observer = Observer(config.fit)
        fitted = self._observer.fit_track
        self._flame = fitted.flame
        self._stamp = FaceModelStamp.of(fitted.face_model)
        self._dataset = open_dataset(config.dataset, self._stamp)
        self._dataset.require("codes")
        self._contestant = load_contestant(config.contestant, fitted.flame, fitted.face_model)
        self._networks = Networks(config.networks, config.perceptual_step)

    def close(self) -> None:
        """End what looks at pictures; see `Observer`."""
        self._observer.close()

    def __call__(self, assignment: Assignment) -> Iterator[Outcome]:
        driver = assignment.rows[assignment.jobs[0].driving]
        take = self._take(driver, range(min(driver.frames, self.config.frames)))
        take = take.resized(self.config.size or take.size)
        truth = self._observer(take.images, take.times, take.codes.shape[0])
        self._keep_features(TRUTH, assignment.jobs[0].driving, take.images, np.ones(len(take.images), bool))
        for job in assignment.jobs:
            try:
                yield self._judged(job, assignment.rows[job.source], driver, take, truth)
            except InputError as error:
                yield Outcome.of(job, fault=error.message)

    def _judged(
        self, job: EvaluationJob, source_row: ManifestRow, driver: ManifestRow, take: Take, truth: Seen
    ) -> Outcome:
        own = job.setting != Setting.CROSS
        index = source_frame(self._dataset, job, driver, take.codes)
        source = self._take(source_row, [index]).resized(take.size)
        performance = Performance(
            times=take.times, codes=take.codes, recover=take.recover, size=take.size, face_model=self._stamp
        )
        images = np.stack(list(self._contestant(job, source, performance)))
        result = self._observer(images, take.times, source.codes.shape[0])
        compared = np.arange(len(images)) != index if own else np.ones(len(images), bool)
        values = motion(result, truth, np.array(driver.numbers[: len(images)]), compared, same_face=own)
        if own:
            values |= likeness(result, truth, compared) | self._networks.distances(result, truth, compared)
        if self._networks.identity:
            person = self._observer(source.images, source.times, source.codes.shape[0])
            values |= self._networks.likeness(result, person, compared)
        self._keep_features(self.config.contestant.label, job.name, images, compared)
        middle = len(images) // 2
        path = strip_path(self.config.out / STRIPS / self.config.contestant.label, job.name)
        write_strip(path, source.images[0], truth.images[middle], images[middle], truth=own)
        return Outcome.of(
            job, source_frame=source_row.numbers[index], frames=int(compared.sum()), values=_in_order(values)
        )

    def _take(self, row: ManifestRow, frames: Iterable[int]) -> Take:
        return Take.of_samples([self._dataset.read_sample(row, frame) for frame in frames], self._flame)

    def _keep_features(self, whose: str, name: str, images: NDArray[np.uint8], compared: NDArray[np.bool_]) -> None:
        features = self._networks.features(images, compared)
        if features is not None:
            with atomic_path(features_path(self.config.out, whose, name)) as partial, partial.open("wb") as file:
                np.save(file, features)


def features_path(out: Path, whose: str, name: str) -> Path:
    """Where Inception's features lie. whose: a contestant's label, with the name of a job; or `TRUTH`, a driver's."""
    return out / FEATURES / whose / f"{name}.npy"


def source_frame(dataset: Dataset, job: EvaluationJob, driver: ManifestRow, driving: Codes) -> int:
    """Which frame of the source's track is animated, counted from 0. driving: of the frames that drive."""
    return far_frame(dataset, driver, driving) if job.setting == Setting.FAR else 0


def far_frame(dataset: Dataset, track: ManifestRow, driving: Codes) -> int:
    """The frame of the track, counted from 0, whose head is turned farthest from the driving ones.

    That is the largest mean angle between its head's rotation and each of theirs; of equal ones the first.
    """
    poses = np.stack([_pose(dataset.read_sample(track, index)) for index in range(track.frames)])
    heads, others = (axis_angle_to_matrix(poses.double()) for poses in (torch.from_numpy(poses), driving.pose[:, :3]))
    cosines = (torch.einsum("aij,bij->ab", heads, others) - 1) / 2
    return int(cosines.clamp(-1, 1).acos().mean(1).argmax())


def motion(
    result: Seen, truth: Seen, numbers: NDArray[np.int64], compared: NDArray[np.bool_], *, same_face: bool
) -> Values:
    """What tracker and fitter say of a result's motion beside the driver's, over frames where both have a face.

    numbers: (T,) of the frames. compared: (T,) which count. same_face: whether landmarks should meet.
    """
    due = truth.found & compared
    both = result.found & due
    values: Values = {"missing": float((due & ~result.found).sum() / due.sum()) if due.any() else None}
    if both.any():
        akd = metrics.keypoint_distance(result.points[both], truth.points[both], truth.size)
        values |= {
            "akd": akd if same_face else None,
            "expression": metrics.expression_distance(result.expression[both], truth.expression[both]),
            "pose": metrics.rotation_distance(result.pose[both, :3], truth.pose[both, :3]),
            "jaw": metrics.rotation_distance(result.pose[both, 3:], truth.pose[both, 3:]),
            "jitter": metrics.jitter_ratio(result.points[both], truth.points[both], numbers[both]),
        }
    return values


def likeness(result: Seen, truth: Seen, compared: NDArray[np.bool_]) -> Values:
    """What the pixels say: over whole pictures, and within the driver's face where one is seen."""
    measures = {"l1": metrics.l1, "psnr": metrics.psnr, "ssim": metrics.ssim}
    whole = np.flatnonzero(compared)
    faces = {i: metrics.hull(truth.landmarks[i], truth.size) for i in np.flatnonzero(compared & truth.found)}
    values: Values = {}
    for name, measure in measures.items():
        values[name] = _mean([measure(result.images[i], truth.images[i]) for i in whole])
        values[f"{name}_face"] = _mean([measure(result.images[i], truth.images[i], face) for i, face in faces.items()])
    return values


def _pose(sample: Sample) -> NDArray[np.float32]:
    """The head's turn, (3,) axis-angle."""
    return Codes.from_flat(torch.from_numpy(sample.codes[None])).pose[0, :3].numpy()


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _in_order(values: Values) -> Values:
    """In every outcome the same columns in the same order; None where there is no value."""
    return {metric.name: values.get(metric.name) for metric in METRICS}

"""The stage of `evaluate`: a driver and its jobs -> what each result is worth, a video at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.codes import Codes
from fit_deca.rotation import axis_angle_to_matrix
from gdpw.st_lpips import StLpips
from pipeline import metrics
from pipeline.contestants import ContestantConfig, load_contestant
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import InputError
from pipeline.evaluation_plan import EvaluationJob, Setting
from pipeline.evaluation_strip import write_strip
from pipeline.fit import FitConfig
from pipeline.ledger import ManifestRow
from pipeline.observer import Observer, Seen
from pipeline.perceptual_files import st_lpips_file
from pipeline.performance import Performance
from pipeline.render import Take
from pipeline.shards import FaceModelStamp, Sample

Values = dict[str, float | None]


NEITHER = "near 1"
"""Which way is good of a share that should be whole: differences of such say nothing."""


class Metric(NamedTuple):
    """A column. better: up, down, or `NEITHER`. of: what it is, for people."""

    name: str
    better: str
    of: str


METRICS = (
    Metric("l1", "down", "mean absolute difference, 0..1"),
    Metric("psnr", "up", f"decibels, a frame at most {metrics.PSNR_CAP:g}"),
    Metric("ssim", "up", "structural similarity, Gaussian windows of 11 pixels"),
    Metric("st_lpips", "down", "shift-tolerant perceptual distance by AlexNet; not LPIPS"),
    Metric("l1_face", "down", "l1 within the hull of the driver's landmarks"),
    Metric("psnr_face", "up", "psnr there"),
    Metric("ssim_face", "up", "ssim there"),
    Metric("st_lpips_face", "down", "st_lpips where all else is the driver's picture"),
    Metric("akd", "down", "distance of 68 landmarks, pixels of pictures 256 wide"),
    Metric("expression", "down", "mean difference of expression coefficients, fitted anew"),
    Metric("jaw", "down", "angle between jaws in degrees, fitted anew"),
    Metric("pose", "down", "angle between heads in degrees, fitted anew"),
    Metric("missing", "down", "share of frames without a face where the driver has one"),
    Metric("jitter", NEITHER, "how much the landmarks tremble, the driver's being 1"),
)
NOT_RUN = {
    "lpips": "its weights come with no package that is used here; st_lpips stands in",
    "fid": "Inception's weights come with no package that is used here",
    "csim": "no weights of a network for identities come with a package that is used here",
}
"""Columns of other papers, and why they are empty."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What decides the numbers of a contestant.

    frames: of each driver, from its first on. size: side in pixels at which all is done; None is the dataset's.
    perceptual_step: every so manieth frame st_lpips looks at; 0 is none. strips: where each job that has a truth leaves
    a strip of pictures; `strip_path` names it.
    """

    dataset: Path
    contestant: ContestantConfig
    strips: Path
    frames: int = 50
    size: int | None = None
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

    Raises what opening the dataset, the contestant and ST-LPIPS raise.
    """

    def __init__(self, config: EvaluationConfig) -> None:
        self.config = config
        self._observer = Observer(config.fit)
        fitted = self._observer.fit_track
        self._stamp = FaceModelStamp.of(fitted.face_model)
        self._dataset = open_dataset(config.dataset, self._stamp)
        self._contestant = load_contestant(config.contestant, fitted.flame, fitted.face_model)
        weights = st_lpips_file() if config.perceptual_step else None
        self._st_lpips = StLpips.load(weights) if weights else None

    def close(self) -> None:
        """End what looks at pictures; see `Observer`."""
        self._observer.close()

    def __call__(self, assignment: Assignment) -> Iterator[Outcome]:
        driver = assignment.rows[assignment.jobs[0].driving]
        shown = range(min(driver.frames, self.config.frames))
        take = Take.of_samples([self._dataset.read_sample(driver, i) for i in shown])
        take = take.resized(self.config.size or take.size)
        truth = self._observer(take.images, take.times, take.codes.shape[0])
        for job in assignment.jobs:
            try:
                yield self._judged(job, assignment.rows[job.source], driver, take, truth)
            except InputError as error:
                yield Outcome.of(job, fault=error.message)

    def _judged(
        self, job: EvaluationJob, source_row: ManifestRow, driver: ManifestRow, take: Take, truth: Seen
    ) -> Outcome:
        index = far_frame(self._dataset, driver, take.codes) if job.setting == Setting.FAR else 0
        source = Take.of_samples([self._dataset.read_sample(source_row, index)]).resized(take.size)
        performance = Performance(
            times=take.times, codes=take.codes, recover=take.recover, size=take.size, face_model=self._stamp
        )
        images = np.stack(list(self._contestant(job, source, performance)))
        result = self._observer(images, take.times, source.codes.shape[0])
        own = job.setting != Setting.CROSS
        compared = np.arange(len(images)) != index if own else np.ones(len(images), bool)
        numbers = np.array(driver.numbers[: len(images)])
        values = motion(result, truth, numbers, compared, same_face=own)
        if own:
            values |= likeness(result, truth, compared)
            if self._st_lpips:
                values |= look(self._st_lpips, result, truth, compared, self.config.perceptual_step)
            write_strip(strip_path(self.config.strips, job.name), source.images[0], truth, result)
        return Outcome.of(
            job, source_frame=source_row.numbers[index], frames=int(compared.sum()), values=_in_order(values)
        )


def strip_path(folder: Path, name: str) -> Path:
    """Where the strip of a job lies: source, driver, result, error."""
    return folder / f"{name}.jpg"


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


@torch.no_grad()
def look(network: StLpips, result: Seen, truth: Seen, compared: NDArray[np.bool_], step: int) -> Values:
    """ST-LPIPS of every step-th frame that counts, of whole pictures, and of results with all but the face replaced."""
    whole, faces = [], []
    for i in np.flatnonzero(compared)[::step]:
        whole.append(_st_lpips(network, result.images[i], truth.images[i]))
        if truth.found[i]:
            face = metrics.hull(truth.landmarks[i], truth.size)[..., None]
            faces.append(_st_lpips(network, np.where(face, result.images[i], truth.images[i]), truth.images[i]))
    return {"st_lpips": _mean(whole), "st_lpips_face": _mean(faces)}


def _st_lpips(network: StLpips, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    pair = [torch.from_numpy(image).permute(2, 0, 1)[None] / 255 for image in (one, other)]
    return float(network(*pair))


def _pose(sample: Sample) -> NDArray[np.float32]:
    """The head's turn, (3,) axis-angle."""
    return Codes.from_flat(torch.from_numpy(sample.codes[None])).pose[0, :3].numpy()


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _in_order(values: Values) -> Values:
    """In every outcome the same columns in the same order; None where there is no value."""
    return {metric.name: values.get(metric.name) for metric in METRICS}

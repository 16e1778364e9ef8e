"""The columns that need networks of others: whether their weights are here, and what they say of results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gdpw.inception import Inception
from gdpw.lpips import Lpips, PerceptualDistance
from gdpw.st_lpips import StLpips
from pipeline import metrics
from pipeline.assets import advice, find
from pipeline.catalogue import CATALOGUE
from pipeline.checksums import digest_of
from pipeline.errors import PipelineError
from pipeline.identity import Identity, identity_file
from pipeline.observer import Seen
from pipeline.perceptual_files import st_lpips_file

NetworkName = Literal["st_lpips", "lpips", "csim", "fid"]
Values = dict[str, float | None]

_BATCH = 8
"""Pictures at once for Inception."""


class _Network(NamedTuple):
    """files: where its weights are; raises PipelineError where they are not. columns: what it fills."""

    files: Callable[[], Sequence[Path]]
    columns: tuple[str, ...]


class Available(NamedTuple):
    """weights: SHA-256 by the network's name. not_run: why the columns of the others stay empty."""

    weights: dict[NetworkName, str]
    not_run: dict[str, str]


def available(*, wanted: bool) -> Available:
    """Which networks have their weights on this machine. wanted: False, and there are none."""
    weights: dict[NetworkName, str] = {}
    not_run: dict[str, str] = {}
    for name, network in _NETWORKS.items():
        try:
            if not wanted:
                raise PipelineError("not asked for (--perceptual-step 0)")
            weights[name] = hashlib.sha256("".join(map(digest_of, network.files())).encode()).hexdigest()
        except PipelineError as error:
            not_run |= dict.fromkeys(network.columns, str(error))
    return Available(weights, not_run)


class Networks:
    """The networks by these names.

    step: every so manieth frame of those that count is looked at. Raises PipelineError where weights are missing and
    CheckpointError where they are others.
    """

    def __init__(self, names: Collection[NetworkName], step: int) -> None:
        self.step = step
        self._distances: dict[str, PerceptualDistance] = {}
        if "st_lpips" in names:
            self._distances["st_lpips"] = StLpips.load(*_NETWORKS["st_lpips"].files())
        if "lpips" in names:
            self._distances["lpips"] = Lpips.load(*_NETWORKS["lpips"].files())
        self.identity = Identity() if "csim" in names else None
        self.inception = Inception.load(*_NETWORKS["fid"].files()) if "fid" in names else None

    @torch.no_grad()
    def distances(self, result: Seen, truth: Seen, compared: NDArray[np.bool_]) -> Values:
        """Of whole pictures, and of results where all but the driver's face is replaced by the truth."""
        if not self._distances:
            return {}
        frames = self._chosen(compared)
        faces = {i: metrics.hull(truth.landmarks[i], truth.size)[..., None] for i in frames if truth.found[i]}
        values: Values = {}
        for name, network in self._distances.items():
            values[name] = _mean([_distance(network, result.images[i], truth.images[i]) for i in frames])
            values[f"{name}_face"] = _mean(
                [
                    _distance(network, np.where(face, result.images[i], truth.images[i]), truth.images[i])
                    for i, face in faces.items()
                ]
            )
        return values

    def likeness(self, result: Seen, source: Seen, compared: NDArray[np.bool_]) -> Values:
        """CSIM: the mean cosine between the person in the result and that in the source's one picture."""
        if self.identity is None or not source.found[0]:
            return {}
        person = self.identity(source.images[0], source.points[0])
        frames = self._chosen(compared & result.found)
        return {"csim": _mean([float(person @ self.identity(result.images[i], result.points[i])) for i in frames])}

    @torch.no_grad()
    def features(self, images: NDArray[np.uint8], compared: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        """Inception's (N, 2048) of the frames looked at; None where it is not run."""
        if self.inception is None:
            return None
        frames = self._chosen(compared)
        batches = [images[frames[start : start + _BATCH]] for start in range(0, len(frames), _BATCH)]
        return np.concatenate([self.inception(_picture(batch)).numpy() for batch in batches])

    def _chosen(self, compared: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.flatnonzero(compared)[:: self.step]


def _asset(name: str) -> Path:
    found, asset = find(name), CATALOGUE[name]
    if found is None:
        raise PipelineError(f"{asset.file} is not here: {advice(asset)}")
    return found


_NETWORKS: dict[NetworkName, _Network] = {
    "st_lpips": _Network(lambda: [st_lpips_file()], ("st_lpips", "st_lpips_face")),
    "lpips": _Network(lambda: [_asset("alexnet"), _asset("lpips_alex")], ("lpips", "lpips_face")),
    "csim": _Network(lambda: [identity_file()], ("csim",)),
    "fid": _Network(lambda: [_asset("inception")], ("fid",)),
}


def _distance(network: PerceptualDistance, one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(network(_picture(one[None]), _picture(other[None])))


def _picture(images: NDArray[np.uint8]) -> Tensor:
    """(B, H, W, 3) -> (B, 3, H, W) in 0..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None

"""How well a fit follows the face: the figures that tests bound and `benchmarks/fit_quality.py` prints."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fit_deca.model_file import FaceModel
from pipeline.records import Crops, Fit, Track


class FitMeasures(NamedTuple):
    """error: pixels, over the points of all frames. yaw, pitch: median distance from the tracker's, degrees.

    edges_kept: share of the mesh's edges, over all frames, of 0.5 to 2 times the neutral head's length.
    jitter, shaking: mean length of the second difference in time of the fitted points and of the tracked ones, pixels.
    """

    error_median: float
    error_p95: float
    yaw: float
    pitch: float
    edges_kept: float
    jitter: float
    shaking: float


def measure(model: FaceModel, track: Track, crops: Crops, fit: Fit) -> FitMeasures:
    """The figures of one fitted track."""
    median, p95 = np.quantile(fit.error_px, [0.5, 0.95])
    yaw, pitch = np.median(np.abs(turns(fit.codes.pose[:, :3].numpy()) - turns(track.head_pose)), axis=0)[:2]
    assert model.mediapipe is not None
    corners = fit.vertices[:, model.faces[model.mediapipe.faces], :2]
    points = (corners * model.mediapipe.bary[..., None]).sum(2)
    return FitMeasures(
        error_median=median,
        error_p95=p95,
        yaw=yaw,
        pitch=pitch,
        edges_kept=edges_kept(model, fit),
        jitter=jitter(points),
        shaking=jitter(crops.landmarks[..., :2]),
    )


def turns(rotation: NDArray[np.float32]) -> NDArray[np.float64]:
    """Yaw, pitch, roll in degrees of (T, 3) axis-angle vectors or (T, 3, 3) matrices."""
    read = Rotation.from_matrix if rotation.ndim == 3 else Rotation.from_rotvec
    return read(rotation).as_euler("YXZ", degrees=True)


def edges_kept(model: FaceModel, fit: Fit) -> float:
    """Share of edges between half and twice their length in the neutral head, both in metres."""
    starts, ends = edges(model.faces)
    neutral = np.linalg.norm(model.v_template[starts] - model.v_template[ends], axis=1)
    metres = fit.codes.camera[:, :1].numpy() * fit.recover[:, 0, :1]
    lengths = np.linalg.norm(fit.vertices[:, starts] - fit.vertices[:, ends], axis=2) / metres
    return float(((lengths > neutral / 2) & (lengths < neutral * 2)).mean())


def edges(faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """The two ends (2, E) of every edge of a mesh, each edge once."""
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(ends, axis=0).T


def jitter(points: NDArray[np.float32]) -> float:
    """Mean length of the second difference in time of (T, N, 2 or 3) points."""
    return float(np.linalg.norm(np.diff(points, n=2, axis=0), axis=2).mean()) if len(points) > 2 else 0.0

"""What a driver's face does, made into what the source's face is to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.flame import Flame
from fit_deca.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from fit_deca.smoothing import OneEuroConfig, OneEuroFilter
from pipeline.crop import plane_to_pixels
from pipeline.performance import Performance
from pipeline.render import Take

Relative = Literal["off", "first", "neutral"]
Smooth = Literal["one-euro", "none"]

_USUAL_EXPRESSION, _USUAL_JAW, _USUAL_TURN = 1.0, 0.2, 0.3
"""How far from rest a face usually is, a coefficient and radians: what counts as one when the neutral frame is sought.
"""


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """keep: codes that stay the source's; all others are the driver's.

    relative: off, the driver's expression and pose as they are; or what changes in them since the driver's first frame,
    or since the most neutral one, added to the source's own. smooth: a One-Euro filter with the published settings over
    expression, pose and camera.
    Raises ValueError for other words.
    """

    keep: frozenset[str] = frozenset(("shape",))
    relative: Relative = "off"
    smooth: Smooth = "one-euro"

    def __post_init__(self) -> None:
        if not self.keep <= set(CODE_SIZES):
            raise ValueError(f"keep is any of {', '.join(CODE_SIZES)}, got {', '.join(sorted(self.keep))}")
        if self.relative not in get_args(Relative) or self.smooth not in get_args(Smooth):
            raise ValueError(f"no such way to be relative or smooth: {self}")


@torch.no_grad()
def transfer(source: Take, driving: Performance, config: TransferConfig, flame: Flame) -> Performance:
    """The performance of one track of a driver as the source gives it, in pixels of the source's picture.

    source: one frame. The source's head stays as large as it is and where it is, as far as the driver's does: his
    usual size and place in the picture, or those of the frame that motion is relative to, become the source's. Where
    its way across the picture would lead out of it, it is shortened.
    """
    driving = driving.resized(source.size)
    if config.smooth == "one-euro":
        driving = smoothed(driving, OneEuroConfig())
    origin = {"off": None, "first": 0, "neutral": neutral_frame(driving.codes)}[config.relative]
    codes = driving.codes if origin is None else _added(source.codes, driving.codes, origin)
    kept = {name: getattr(source.codes, name).expand(len(driving), -1) for name in config.keep}
    moved = replace(driving, codes=codes._replace(**kept))
    if "camera" in config.keep:
        return replace(moved, recover=np.repeat(source.recover[:1], len(driving), axis=0))
    stage, heads = Heads.of(flame, source.codes, source.recover), Heads.of(flame, moved.codes, moved.recover)
    return replace(moved, recover=_placed(source, stage, heads, origin) @ moved.recover)


def smoothed(driving: Performance, config: OneEuroConfig) -> Performance:
    """One track, with expression, pose and camera filtered.

    Each frame's camera is first put in terms of the whole picture: published code filters it as it is, in the terms of
    a crop that jumps from frame to frame.
    """
    steady = in_picture(driving)
    filtered = {name: OneEuroFilter(config)(getattr(steady.codes, name)) for name in ("expression", "pose", "camera")}
    return replace(steady, codes=steady.codes._replace(**filtered))


def in_picture(driving: Performance) -> Performance:
    """The same, with cameras whose plane is the picture in every frame.

    Raises ValueError if `recover` turns or squeezes.
    """
    linear, offset = driving.recover[:, :2, :2], driving.recover[:, :2, 2]
    zoom = linear[:, 0, 0]
    if not np.allclose(linear, zoom[:, None, None] * np.eye(2)):
        raise ValueError("recover must scale and shift alone")
    half = driving.size / 2
    scale, shift = driving.codes.camera.double().split([1, 2], dim=1)
    pixels = torch.from_numpy(offset - half) / (torch.from_numpy(zoom)[:, None] * scale)
    shift = shift + pixels * pixels.new_tensor([1, -1])
    camera = torch.cat([scale * torch.from_numpy(zoom)[:, None] / half, shift], dim=1)
    return replace(
        driving,
        codes=driving.codes._replace(camera=camera.to(driving.codes.camera)),
        recover=np.repeat(plane_to_pixels(driving.size)[None], len(driving), axis=0),
    )


def neutral_frame(codes: Codes) -> int:
    """The frame whose expression, jaw and head are nearest to rest."""
    turn, jaw = codes.pose.split(3, dim=1)
    parts = ((codes.expression, _USUAL_EXPRESSION), (jaw, _USUAL_JAW), (turn, _USUAL_TURN))
    return int(torch.stack([(part / usual).square().sum(1) for part, usual in parts]).sum(0).argmin())


def _added(source: Codes, driving: Codes, origin: int) -> Codes:
    """The source's codes and how the driver's differ from those of one of his frames; his cameras stay as they are."""
    turn = axis_angle_to_matrix(driving.pose[:, :3])
    start = axis_angle_to_matrix(source.pose[:, :3])
    turn = matrix_to_axis_angle(turn @ turn[origin].mT @ start)
    jaw = source.pose[:, 3:] + driving.pose[:, 3:] - driving.pose[origin, 3:]
    return driving._replace(
        expression=source.expression + driving.expression - driving.expression[origin],
        pose=torch.cat([turn, jaw], dim=1),
        eyes=source.eyes + driving.eyes - driving.eyes[origin],
    )


class Heads(NamedTuple):
    """Where the middles of heads are, (T, 2) pixels, and how many pixels a unit of model space is wide, (T,)."""

    places: NDArray[np.float64]
    scales: NDArray[np.float64]

    @classmethod
    def of(cls, flame: Flame, codes: Codes, recover: NDArray[np.float64]) -> Heads:
        matrix = torch.from_numpy(recover)
        places = apply_recover(project_orthographic(_middles(flame, codes), codes.camera.double()), matrix)
        scales = codes.camera[:, 0].double() * torch.linalg.det(matrix[:, :2, :2]).abs().sqrt()
        return cls(places[:, 0, :2].numpy(), scales.numpy())


def _middles(flame: Flame, codes: Codes) -> Tensor:
    """The mean vertex of heads turned so, as if they were stiff: (T, 1, 3) float64 in model space."""
    means = torch.stack(
        [flame.joint_regressor[0], torch.full_like(flame.joint_regressor[0], 1 / len(flame.v_template))]
    )
    components = means @ flame.shape_components.unflatten(1, (-1, 3))  # (100, 2, 3)
    shaped = means @ flame.v_template + torch.tensordot(codes.shape.to(components), components, dims=1)
    root, middle = shaped.double().cpu().split(1, dim=1)
    return root + (middle - root) @ axis_angle_to_matrix(codes.pose[:, :3].double()).mT


def _placed(source: Take, stage: Heads, heads: Heads, origin: int | None) -> NDArray[np.float64]:
    """What takes each frame's pixels to those of the source's picture, (T, 3, 3)."""
    if origin is None:
        place, scale = np.median(heads.places, axis=0), float(np.median(heads.scales))
    else:
        place, scale = heads.places[origin], float(heads.scales[origin])
    growth = float(stage.scales[0]) / scale
    ways = growth * (heads.places - place)
    matrices = np.tile(np.diag([growth, growth, 1.0]), (len(ways), 1, 1))
    matrices[:, :2, 2] = stage.places[0] + _room(source, ways) * ways - growth * heads.places
    return matrices


def _room(source: Take, ways: NDArray[np.float64]) -> NDArray[np.float64]:
    """What share of its ways (T, 2) the source's head can go, across and down (2,), and not leave its picture.

    The head is a circle as wide as its mesh. However little room there is, a twentieth of the picture is free to it.
    """
    points = source.vertices[0, :, :2].astype(np.float64)
    centre, radius = points.mean(0), np.ptp(points[:, 0]) / 2
    free = np.maximum([centre - radius, source.size - centre - radius], source.size / 20)
    gone = np.maximum([-np.quantile(ways, 0.01, axis=0), np.quantile(ways, 0.99, axis=0)], 1e-6)
    return np.minimum((free / gone).min(0), 1)

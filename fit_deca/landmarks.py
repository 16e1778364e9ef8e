"""The fitter `landmarks`: FLAME through tracked points, all frames of a track together.

What is minimised, over one shape and a motion per frame, is the sum of

- robust distances (Cauchy) of the points in the picture, and, while the shape is sought, of their depths;
- squared distances from what is usual: of shape, expression, jaw and eyes from rest, of the head's rotation from the
  tracker's;
- squared speeds of the motion, in units of time, so that they mean the same at any frame rate.

Gauss-Newton steps find it: first the shape together with the motions of some frames spread over the track, then, the
shape being fixed, the motions of all frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from fit_deca.batches import InPieces
from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.codes import Codes
from fit_deca.errors import FaceModelError
from fit_deca.flame import Flame
from fit_deca.point_model import MOTION_SIZE, MOTION_SIZES, ROTATION, SCALE, SHAPE_SIZE, SHIFT, PointModel
from fit_deca.rotation import matrix_to_axis_angle

_NEVER = float("inf")
_EYE = (0.3, 0.3, 0.02)

USUAL = {
    "rotation": (0.03,) * 3,
    "jaw": (0.2, 0.05, 0.05),
    "eyes": (*_EYE, *_EYE),
    "scale": (_NEVER,),
    "shift": (_NEVER,) * 2,
    "expression": (1.0,) * MOTION_SIZES["expression"],
}
"""Standard deviation of each part of a motion: of the rotation about the tracker's, of the others about rest."""

LASTING_EXPRESSION = 0.1
"""Standard deviation of expressions while the shape is sought: small, so that what lasts is put down to the shape."""

PACE = {
    "rotation": (0.15,) * 3,
    "jaw": (0.2, 0.05, 0.05),
    "eyes": (*_EYE, *_EYE),
    "scale": (0.075,),
    "shift": (0.075,) * 2,
    "expression": (1.0,) * MOTION_SIZES["expression"],
}
"""Change of each part of a motion within `LandmarkConfig.smoothing` that costs as much as one standard deviation."""

_FRAMES_AT_A_TIME = 32  # their derivatives, 8 MB, stay in a processor's cache
_MESHES_AT_A_TIME = 256
_CHAIN_STEPS = 30
_SHORTEST_STEP = 1e-3  # seconds; damaged streams have pictures of one time


@dataclass(frozen=True, kw_only=True)
class LandmarkConfig:
    """How far to trust the points, and how long to look.

    noise, depth_noise: standard deviation of a tracked point in the picture and in depth, as a share of the picture's
    side. outlier: distance, in units of noise, from where on a point is doubted. independent_points: errors of
    neighbours go together, so that all points count like that many. smoothing: seconds (see `PACE`), 0 for none.
    key_frames: on how many the shape is found. held_out: points that do not take part in the fit.
    """

    noise: float = 1 / 256
    depth_noise: float = 8 / 256
    outlier: float = 3.0
    independent_points: int = 100
    smoothing: float = 0.08
    key_frames: int = 16
    shape_steps: int = 5
    motion_steps: int = 3
    held_out: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in (
            "noise",
            "depth_noise",
            "outlier",
            "independent_points",
            "key_frames",
            "shape_steps",
            "motion_steps",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not self.smoothing >= 0:
            raise ValueError(f"smoothing must not be negative, got {self.smoothing}")


class FitResult(NamedTuple):
    """FLAME on T frames, on the face model's device.

    vertices: (T, V, 3), x and y in pixels of the crop, z away from the viewer in the same unit. recover: (T, 3, 3)
    float64, camera plane (-1..1, y down) -> pixels. error_px: (T, 478), of held-out points too.
    """

    codes: Codes
    vertices: Tensor
    recover: Tensor
    error_px: Tensor


class LandmarkFitter:
    """Fits FLAME to the 478 points of MediaPipe's face landmarker; deterministic."""

    def __init__(self, flame: Flame, config: LandmarkConfig) -> None:
        """Raises FaceModelError for a face model that does not know where the 478 points are."""
        if flame.mediapipe_478 is None:
            raise FaceModelError(
                f"the face model {flame.name!r} does not say where MediaPipe's 478 points lie on it, which this fitter "
                "needs: use the generic head, or an .npz of it with mediapipe_faces_idx and mediapipe_bary_coords"
            )
        self.flame, self.config = flame, config
        self._device = flame.v_template.device
        self._model = PointModel(flame, flame.mediapipe_478.corners, flame.mediapipe_478.bary)
        trust = torch.ones(len(flame.mediapipe_478.corners), device=self._device)
        trust[list(config.held_out)] = 0
        self._trust = trust * (config.independent_points / trust.sum() / (2 * config.noise) ** 2)
        self._certainty = self._vector(USUAL) ** -2
        lasting = (LASTING_EXPRESSION,) * MOTION_SIZES["expression"]
        self._lasting_certainty = self._vector(USUAL | {"expression": lasting}) ** -2
        self._stiffness = (config.smoothing / self._vector(PACE)) ** 2

    @torch.no_grad()
    def __call__(self, landmarks: Tensor, head_pose: Tensor, size: int, times: Tensor) -> FitResult:
        """Fit a track.

        landmarks: (T, 478, 3) pixels of a square crop of that size; z away from the viewer, from any origin.
        head_pose: (T, 3, 3) rotation of the head, x right, y up, z to the viewer. times: (T,) seconds, in order.
        """
        plane = 2 * landmarks / size - landmarks.new_tensor([1, 1, 0])
        points = plane.mT.to(self._device, torch.float32).contiguous()
        motion = self._start(points[:, :2], head_pose.to(self._device, torch.float32))
        keys = torch.linspace(0, len(points) - 1, min(len(points), self.config.key_frames)).round().long()
        shape = self._fit_shape(points[keys], motion[keys])
        motion = self._fit_motion(shape, points[:, :2], motion, times.to(self._device, torch.float64))
        return self._result(shape, motion, landmarks, size)

    def _vector(self, parts: dict[str, tuple[float, ...]]) -> Tensor:
        values = [value for name in MOTION_SIZES for value in parts[name]]
        return torch.tensor(values, dtype=torch.float64, device=self._device)

    def _start(self, points: Tensor, head_pose: Tensor) -> Tensor:
        """The mean face, turned as the tracker says, scaled and shifted onto the points with least squares."""
        motion = points.new_zeros(len(points), MOTION_SIZE)
        motion[:, ROTATION] = matrix_to_axis_angle(head_pose)
        used = self._trust > 0
        mean_face = self._model.points(self._model.neutral(points.new_zeros(SHAPE_SIZE)), motion)[:, :2, used]
        source, target = mean_face.mean(2, keepdim=True), points[..., used].mean(2, keepdim=True)
        spread = mean_face - source
        scale = (spread * (points[..., used] - target)).sum((1, 2)) / spread.square().sum((1, 2))
        motion[:, SCALE] = scale[:, None].log()
        motion[:, SHIFT] = (target - scale[:, None, None] * source).squeeze(2)
        return motion

    def _equations(
        self, neutral: Tensor, points: Tensor, motion: Tensor, *, with_shape: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Normal equations of the points alone, in float64: (F, D, D) and the descent (F, D).

        points: (F, 2 or 3, P); with depth, that is taken from its mean, as the camera does not see it.
        """
        axes = points.shape[1]
        predicted, jacobian = self._model.linearize(neutral, motion, axes=axes, with_shape=with_shape)
        residual = points - predicted
        doubt = residual[:, :2].square().sum(1) / (2 * self.config.noise * self.config.outlier) ** 2
        weight = (self._trust / (1 + doubt)).sqrt()[:, None].repeat(1, axes, 1)
        if axes == 3:
            weight[:, 2] *= self.config.noise / self.config.depth_noise
            for values in (residual[:, 2:], jacobian[:, 2]):
                values -= (values * self._trust).sum(-1, keepdim=True) / self._trust.sum()
        jacobian *= weight[:, :, None]
        rows, right = jacobian.unbind(1), (residual * weight)[:, :, None].unbind(1)
        hessian = torch.stack([row @ row.mT for row in rows]).sum(0)
        descent = torch.stack([value @ row.mT for value, row in zip(right, rows, strict=True)]).sum(0)
        return hessian.double(), descent.double().squeeze(1)

    def _fit_shape(self, points: Tensor, motion: Tensor) -> Tensor:
        """The shape (100,) with which these frames, each with a motion of its own, are met best.

        The motions are eliminated from each step's equations, so that what is solved is 100 unknowns, not 100 + 65 F.
        """
        usual, shape = motion.double(), points.new_zeros(SHAPE_SIZE)
        for _ in range(self.config.shape_steps):
            hessian, descent = self._equations(self._model.neutral(shape), points, motion, with_shape=True)
            own = hessian[:, :MOTION_SIZE, :MOTION_SIZE] + torch.diag(self._lasting_certainty)
            tie = hessian[:, :MOTION_SIZE, MOTION_SIZE:]
            common = hessian[:, MOTION_SIZE:, MOTION_SIZE:].sum(0) + torch.eye(SHAPE_SIZE).to(hessian)
            own_descent = descent[:, :MOTION_SIZE] + self._lasting_certainty * (usual - motion)
            common_descent = descent[:, MOTION_SIZE:].sum(0) - shape
            answers = torch.cholesky_solve(torch.cat([own_descent[..., None], tie], dim=2), torch.linalg.cholesky(own))
            reduced = torch.cat([common_descent[:, None], common], dim=1) - (tie.mT @ answers).sum(0)
            shape_step = torch.linalg.solve(reduced[:, 1:], reduced[:, 0])
            motion = motion + (answers[..., 0] - answers[..., 1:] @ shape_step).float()
            shape = shape + shape_step.float()
        return shape

    def _fit_motion(self, shape: Tensor, points: Tensor, motion: Tensor, times: Tensor) -> Tensor:
        """The motions (T, 65) of all frames of one shape, tied to their neighbours in time."""
        neutral, usual = self._model.neutral(shape), motion.double()
        ties = self._stiffness / times.diff().clamp(min=_SHORTEST_STEP).square()[:, None]  # (T - 1, 65)
        both_sides = pad(ties, (0, 0, 1, 0)) + pad(ties, (0, 0, 0, 1))
        for _ in range(self.config.motion_steps):
            pieces = zip(points.split(_FRAMES_AT_A_TIME), motion.split(_FRAMES_AT_A_TIME), strict=True)
            equations = [self._equations(neutral, *piece) for piece in pieces]
            hessian, descent = (torch.cat(parts) for parts in zip(*equations, strict=True))
            pull = pad(ties * motion.diff(dim=0), (0, 0, 1, 1))
            step = solve_chain(
                hessian + torch.diag_embed(self._certainty + both_sides),
                ties,
                descent + self._certainty * (usual - motion) + pull.diff(dim=0),
            )
            motion = motion + step.float()
        return motion

    def _mesh(self, shape: Tensor, motion: Tensor) -> Tensor:
        """The meshes (F, V, 3) in the camera's plane."""
        codes = self._model.codes(shape, motion)
        return project_orthographic(self.flame(codes._replace(shape=shape[None])), codes.camera)

    def _result(self, shape: Tensor, motion: Tensor, landmarks: Tensor, size: int) -> FitResult:
        half = size / 2
        recover = torch.tensor([[half, 0, half], [0, half, half], [0, 0, 1]], dtype=torch.float64, device=self._device)
        plane = InPieces(_MESHES_AT_A_TIME)(partial(self._mesh, shape), motion)
        vertices = apply_recover(plane, recover.float()[None]) * plane.new_tensor([1, 1, half])
        error = self.flame.mediapipe_points(vertices)[..., :2] - landmarks[..., :2].to(vertices)
        return FitResult(
            codes=self._model.codes(shape, motion),
            vertices=vertices,
            recover=recover.expand(len(motion), 3, 3),
            error_px=error.norm(dim=2),
        )


def solve_chain(
    blocks: Tensor,  # (T, D, D) positive definite
    ties: Tensor,  # (T - 1, D) not negative
    right: Tensor,  # (T, D)
) -> Tensor:  # (T, D)
    """Solve `blocks[t] x[t] - ties[t - 1] x[t - 1] - ties[t] x[t + 1] = right[t]` for all x at once.

    Conjugate gradients, with the blocks as preconditioner: the weaker the ties beside the blocks, the fewer steps.
    """
    inverses = torch.cholesky_inverse(torch.linalg.cholesky(blocks))

    def matrix(x: Tensor) -> Tensor:
        neighbours = pad(ties * x[:-1], (0, 0, 1, 0)) + pad(ties * x[1:], (0, 0, 0, 1))
        return (x[:, None] @ blocks).squeeze(1) - neighbours

    def precondition(x: Tensor) -> Tensor:
        return (x[:, None] @ inverses).squeeze(1)

    solution, residual = torch.zeros_like(right), right
    direction = better = precondition(right)
    start = left = (residual * better).sum()
    for _ in range(_CHAIN_STEPS):
        if left <= 1e-8 * start:
            break
        image = matrix(direction)
        length = left / (direction * image).sum()
        solution, residual = solution + length * direction, residual - length * image
        better = precondition(residual)
        previous, left = left, (residual * better).sum()
        direction = better + left / previous * direction
    return solution

"""The fitter `landmarks`: FLAME through tracked points, all frames of a track together.

What is minimised, over one shape and a motion per frame, is the sum of

- robust distances (Cauchy) of the points in the picture, and, while the shape is sought, of their depths;
- squared distances from what is usual: of shape, expression, jaw and eyes from rest, or from the codes that the fit
  starts from, of the head's rotation from the tracker's;
- squared speeds of the motion, in units of time, so that they mean the same at any frame rate.

Gauss-Newton steps find it: first the shape together with the motions of some frames spread over the track, then, the
shape being fixed, the motions of all frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from fit_deca.batches import InPieces
from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.codes import Codes
from fit_deca.contour_model import ContourModel
from fit_deca.flame import Flame
from fit_deca.point_model import (
    EXPRESSION,
    MOTION_SIZE,
    MOTION_SIZES,
    ROTATION,
    SCALE,
    SHAPE_SIZE,
    SHIFT,
    PointModel,
)
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

REFINED_SHAPE, REFINED_EXPRESSION = 2.0, 4.0
"""Standard deviations of shape and expression about those of codes that the fit starts from. Codes may err by more than
people differ, and those of expressions err in each frame by themselves, which is jitter. While the shape is sought,
expressions are as free as usual: the codes say what of a face lasts, so that it need not be told from what does not."""

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
    float64, camera plane (-1..1, y down) -> pixels. error_px: (T, N), of held-out points too.
    """

    codes: Codes
    vertices: Tensor
    recover: Tensor
    error_px: Tensor


class _Usual(NamedTuple):
    """What is usual of T frames: shape (100,), motions (T, 65) still without a camera, and how certain each part is.

    All certainties are inverse squared standard deviations. certainty, lasting_certainty: (65,) of motions, the latter
    while the shape is sought.
    """

    shape: Tensor
    shape_certainty: float
    motion: Tensor
    certainty: Tensor
    lasting_certainty: Tensor


class LandmarkFitter:
    """Fits FLAME to tracked points; deterministic."""

    def __init__(self, flame: Flame, config: LandmarkConfig, points: Literal[478, 68] = 478) -> None:
        """points: which are tracked, those of MediaPipe's face landmarker, or the 68 that an annotator sees.

        Raises FaceModelError for a face model that does not know where they are.
        """
        self.flame, self.config = flame, config
        self._device = flame.v_template.device
        self._model = PointModel.of_mediapipe(flame) if points == 478 else ContourModel(flame)
        self._axes = 3 if points == 478 else 2
        trust = torch.ones(points, device=self._device)
        trust[list(config.held_out)] = 0
        counted = min(config.independent_points, int(trust.sum()))
        self._trust = trust * (counted / trust.sum() / (2 * config.noise) ** 2)
        self._stiffness = (config.smoothing / self._vector(PACE)) ** 2

    @torch.no_grad()
    def __call__(
        self,
        landmarks: Tensor,
        head_pose: Tensor,
        size: int,
        times: Tensor,
        start: Codes | None = None,
        shape: Tensor | None = None,
    ) -> FitResult:
        """Fit a track.

        landmarks: (T, N, 2 or 3) pixels of a square crop of that size; z away from the viewer, from any origin, for
        478 points. head_pose: (T, 3, 3) rotation of the head, x right, y up, z to the viewer. times: (T,) seconds, in
        order. start: T rows of codes to refine, of which the camera does not count; None is a mean face at rest.
        shape: (100,) that is known already, of another part of a long track; None is to be found.
        """
        plane = 2 * landmarks[..., : self._axes] / size - landmarks.new_tensor([1, 1, 0][: self._axes])
        points = plane.mT.to(self._device, torch.float32).contiguous()
        usual = self._usual(head_pose.to(self._device, torch.float32), start)
        shape = self._fit_shape(usual, points) if shape is None else shape.to(points)
        motion = self._fit_motion(shape, points[:, :2], usual, times.to(self._device, torch.float64))
        return self._result(shape, motion, landmarks, size)

    def _vector(self, parts: dict[str, tuple[float, ...]]) -> Tensor:
        values = [value for name in MOTION_SIZES for value in parts[name]]
        return torch.tensor(values, dtype=torch.float64, device=self._device)

    def _usual(self, head_pose: Tensor, start: Codes | None) -> _Usual:
        """What to expect of a track's faces before the points are looked at."""
        shape = head_pose.new_zeros(SHAPE_SIZE)
        motion = head_pose.new_zeros(len(head_pose), MOTION_SIZE)
        shape_freedom, usual = 1.0, USUAL["expression"][0]
        freedom, lasting = usual, LASTING_EXPRESSION
        if start is not None:
            codes = Codes(*(code.to(head_pose) for code in start))
            shape, motion = codes.shape.median(0).values, self._model.motion(codes)
            shape_freedom, freedom, lasting = REFINED_SHAPE, REFINED_EXPRESSION, usual
        motion[:, ROTATION] = matrix_to_axis_angle(head_pose)

        def certainty(expression: float) -> Tensor:
            return self._vector(USUAL | {"expression": (expression,) * MOTION_SIZES["expression"]}) ** -2

        return _Usual(shape, shape_freedom**-2, motion, certainty(freedom), certainty(lasting))

    def _placed(self, shape: Tensor, motion: Tensor, points: Tensor) -> Tensor:
        """The motions (T, 65), scaled and shifted so that the faces lie on the points (T, 2, P) with least squares."""
        motion = motion.clone()
        motion[:, [SCALE.start, SHIFT.start, SHIFT.start + 1]] = 0
        used = self._trust > 0
        face = self._model.points(self._model.neutral(shape), motion)[:, :2, used]
        source, target = face.mean(2, keepdim=True), points[..., used].mean(2, keepdim=True)
        spread = face - source
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

    def _fit_shape(self, usual: _Usual, points: Tensor) -> Tensor:
        """The shape (100,) with which some frames, each with a motion of its own, are met best.

        The motions are eliminated from each step's equations, so that what is solved is 100 unknowns, not 100 + 65 F.
        """
        keys = torch.linspace(0, len(points) - 1, min(len(points), self.config.key_frames)).round().long()
        points, rest = points[keys], usual.motion[keys]
        rest[:, EXPRESSION] = 0
        motion, shape = self._placed(usual.shape, rest, points[:, :2]), usual.shape
        expected = motion.double()
        about = usual.shape_certainty * torch.eye(SHAPE_SIZE).to(expected)
        for _ in range(self.config.shape_steps):
            hessian, descent = self._equations(self._model.neutral(shape), points, motion, with_shape=True)
            own = hessian[:, :MOTION_SIZE, :MOTION_SIZE] + torch.diag(usual.lasting_certainty)
            tie = hessian[:, :MOTION_SIZE, MOTION_SIZE:]
            common = hessian[:, MOTION_SIZE:, MOTION_SIZE:].sum(0) + about
            own_descent = descent[:, :MOTION_SIZE] + usual.lasting_certainty * (expected - motion)
            common_descent = descent[:, MOTION_SIZE:].sum(0) + usual.shape_certainty * (usual.shape - shape)
            answers = torch.cholesky_solve(torch.cat([own_descent[..., None], tie], dim=2), torch.linalg.cholesky(own))
            reduced = torch.cat([common_descent[:, None], common], dim=1) - (tie.mT @ answers).sum(0)
            shape_step = torch.linalg.solve(reduced[:, 1:], reduced[:, 0])
            motion = motion + (answers[..., 0] - answers[..., 1:] @ shape_step).float()
            shape = shape + shape_step.float()
        return shape

    def _fit_motion(self, shape: Tensor, points: Tensor, usual: _Usual, times: Tensor) -> Tensor:
        """The motions (T, 65) of all frames of one shape, tied to their neighbours in time."""
        neutral, motion = self._model.neutral(shape), self._placed(shape, usual.motion, points)
        expected = motion.double()
        ties = self._stiffness / times.diff().clamp(min=_SHORTEST_STEP).square()[:, None]  # (T - 1, 65)
        both_sides = pad(ties, (0, 0, 1, 0)) + pad(ties, (0, 0, 0, 1))
        for _ in range(self.config.motion_steps):
            pieces = zip(points.split(_FRAMES_AT_A_TIME), motion.split(_FRAMES_AT_A_TIME), strict=True)
            equations = [self._equations(neutral, *piece) for piece in pieces]
            hessian, descent = (torch.cat(parts) for parts in zip(*equations, strict=True))
            pull = pad(ties * motion.diff(dim=0), (0, 0, 1, 1))
            step = solve_chain(
                hessian + torch.diag_embed(usual.certainty + both_sides),
                ties,
                descent + usual.certainty * (expected - motion) + pull.diff(dim=0),
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
        codes = self._model.codes(shape, motion)
        error = self.flame.tracked_points(vertices, codes.pose, landmarks.shape[1])[..., :2] - landmarks[..., :2].to(
            vertices
        )
        return FitResult(
            codes=codes,
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

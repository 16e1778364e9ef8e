"""FLAME at a few points of its surface: the same arithmetic on 478 points in place of 5,023 vertices.

A surface point is a fixed mix of three vertices, and skinning is linear in the vertices, so that the mix can be taken
once, beforehand, of every basis. What is left is four rigid parts (head, jaw, left eye, right eye; the neck is stiff).
In the camera's plane a point is

    scale * flip * R * (sum over the parts of R_part * offset_part) + shift,

its offsets from the parts' joints being linear in shape, expression and pose correctives.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.nn.functional import pad

from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.flame import Flame
from fit_deca.rotation import axis_angle_derivatives, axis_angle_to_matrix

MOTION_SIZES = {"rotation": 3, "jaw": 3, "eyes": 6, "scale": 1, "shift": 2, "expression": CODE_SIZES["expression"]}
"""Length of each part of a motion: what changes from frame to frame, as one vector.

rotation, jaw, eyes (left, right): axis-angle, radians. scale: the logarithm of the camera's. shift: where the root
joint lies in the camera's plane, x right, y down. expression: coefficients.
"""
MOTION_SIZE = sum(MOTION_SIZES.values())
SHAPE_SIZE = CODE_SIZES["shape"]

ROTATION, SCALE, SHIFT, EXPRESSION = slice(0, 3), slice(12, 13), slice(13, 15), slice(15, MOTION_SIZE)
_ANGLES = slice(0, 12)


class PointModel:
    """P points on a face as a function of one shape and of a batch of motions, with derivatives."""

    def __init__(self, flame: Flame, corners: Tensor, bary: Tensor) -> None:
        """corners: (P, 3) vertices of the triangle in which each point lies. bary: (P, 3), where in it."""
        bases = [
            flame.v_template.flatten()[None],
            flame.shape_components,
            flame.expression_components,
            flame.pose_correctives[9:],  # the stiff neck's are always zero
        ]
        sizes = [len(basis) for basis in bases]
        modes = torch.cat(bases).unflatten(1, (-1, 3)).double()  # (K, V, 3)
        joints = flame.joint_regressor.double() @ modes  # (K, 5, 3)
        joints[-sizes[-1] :] = 0  # correctives move no joints
        mix = flame.weights.double()[corners] * bary.double()[..., None]  # (P, 3, 5)
        share = mix.sum(1).T  # (5, P)
        offsets = torch.einsum("pcj,kpca->jakp", mix, modes[:, corners])
        offsets -= share[:, None, None] * joints.permute(1, 2, 0)[..., None]
        levers = torch.einsum("jp,kja->akp", share, joints - joints[:, :1])
        parts = torch.stack([offsets[0] + offsets[1] + levers, *offsets[2:]]).to(flame.v_template)
        pieces = [piece.contiguous() for piece in parts.split(sizes, dim=2)]
        self._rest, self._shape, self._expression, self._correctives = pieces  # (4, 3, K, P) each
        self._root = joints[:, 0].to(flame.v_template).split(sizes)[:3]  # (1, 3), (100, 3), (50, 3)

    @classmethod
    def of_mediapipe(cls, flame: Flame) -> PointModel:
        """MediaPipe's 478 points. Raises FaceModelError for a face model that does not know where they are."""
        points = flame.present(flame.mediapipe_478, "478")
        return cls(flame, points.corners, points.bary)

    def picked(self, points: Tensor) -> PointModel:
        """Some of the points, by their numbers (N,), each as often as it is named."""
        model = copy.copy(self)
        for name in ("_rest", "_shape", "_expression", "_correctives"):
            setattr(model, name, getattr(self, name)[..., points].contiguous())
        return model

    def neutral(self, shape: Tensor) -> Tensor:
        """The offsets (4, 3, P) of a shape (100,) at rest, which the other methods take."""
        return self._rest[:, :, 0] + torch.einsum("k,jakp->jap", shape, self._shape)

    def points(self, neutral: Tensor, motion: Tensor) -> Tensor:
        """(F, 65) motions -> (F, 3, P) points: x right and y down in about -1..1, z away from the viewer."""
        camera, bends, offsets = self._pose(neutral, motion)
        return camera @ (bends @ offsets).sum(1) + pad(motion[:, SHIFT], (0, 1))[..., None]

    def linearize(
        self, neutral: Tensor, motion: Tensor, *, axes: int = 3, with_shape: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Points (F, axes, P) and their derivatives (F, axes, 65, P) by the motion.

        axes: 2 leaves depth out. with_shape: 100 derivatives by the shape follow those by the motion.
        Left out of the derivatives: that the pose correctives change with the pose.
        """
        camera, bends, offsets = self._pose(neutral, motion)
        view, camera = _view(motion)[:, :axes], camera[:, :axes]
        posed = (bends @ offsets).sum(1)
        seen = camera @ posed
        frames, _, points = seen.shape
        jacobian = motion.new_zeros(frames, axes, MOTION_SIZE + SHAPE_SIZE * with_shape, points)
        spins = axis_angle_derivatives(motion[:, _ANGLES].unflatten(1, (4, 3)))  # (F, 4 vectors, 3 components, 3, 3)
        turned = view[:, None] @ spins[:, 0] @ posed[:, None]  # (F, 3, axes, P)
        bent = camera[:, None, None] @ spins[:, 1:] @ offsets[:, 1:, None]  # (F, 3 parts, 3, axes, P)
        jacobian[:, :, _ANGLES] = torch.cat([turned, bent.flatten(1, 2)], dim=1).transpose(1, 2)
        jacobian[:, :, SCALE] = seen[:, :, None]
        jacobian[:, :2, SHIFT] = torch.eye(2, device=motion.device)[..., None]
        planes = (camera[:, None] @ bends).transpose(1, 2).reshape(frames * axes, -1)  # columns: 4 parts x 3 axes
        bases = [self._expression, self._shape] if with_shape else [self._expression]
        by_code = jacobian[:, :, EXPRESSION.start :].flatten(0, 1).split([basis.shape[2] for basis in bases], dim=1)
        for basis, target in zip(bases, by_code, strict=True):
            torch.mm(planes, basis.flatten(0, 1).flatten(1), out=target.flatten(1))
        return seen + pad(motion[:, SHIFT], (0, axes - 2))[..., None], jacobian

    def codes(self, shape: Tensor, motion: Tensor) -> Codes:
        """The FLAME codes, one row a frame, of a shape (100,) and motions (F, 65)."""
        rest, by_shape, by_expression = self._root
        expression, scale = motion[:, EXPRESSION], motion[:, SCALE].exp()
        root = rest + shape @ by_shape + expression @ by_expression
        shift = motion[:, SHIFT] / scale * motion.new_tensor([1, -1]) - root[:, :2]
        return Codes(
            shape=shape.expand(len(motion), -1),
            expression=expression,
            pose=motion[:, :6],
            eyes=motion[:, 6:12],
            camera=torch.cat([scale, shift], dim=1),
        )

    def motion(self, codes: Codes) -> Tensor:
        """The motions (F, 65) of codes: the inverse of `codes`, but for the shape."""
        rest, by_shape, by_expression = self._root
        root = rest + codes.shape @ by_shape + codes.expression @ by_expression
        scale, shift = codes.camera.split([1, 2], dim=1)
        place = scale * (shift + root[:, :2]) * scale.new_tensor([1, -1])
        return torch.cat([codes.pose, codes.eyes, scale.log(), place, codes.expression], dim=1)

    def _pose(self, neutral: Tensor, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Camera and head turn (F, 3, 3), the parts' own rotations (F, 4, 3, 3), their offsets (F, 4, 3, P)."""
        rotations = axis_angle_to_matrix(motion[:, _ANGLES].unflatten(1, (4, 3)))
        identity = torch.eye(3, dtype=motion.dtype, device=motion.device).expand(len(motion), 1, 3, 3)
        bends = torch.cat([identity, rotations[:, 1:]], dim=1)
        features = (bends[:, 1:] - identity).flatten(1)
        offsets = motion[:, EXPRESSION] @ self._expression + features @ self._correctives  # (4, 3, F, P)
        return _view(motion) @ rotations[:, 0], bends, offsets.permute(2, 0, 1, 3) + neutral


def _view(motion: Tensor) -> Tensor:
    """Model space -> the camera's plane, without the shift: (F, 3, 3)."""
    return torch.diag_embed(motion[:, SCALE].exp() * motion.new_tensor([1, -1, -1]))

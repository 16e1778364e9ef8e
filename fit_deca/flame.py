"""FLAME: codes -> a mesh and the landmarks on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.errors import FaceModelError
from fit_deca.lbs import joint_motions, skin
from fit_deca.model_file import MEDIAPIPE_POINTS, Correspondence, FaceModel
from fit_deca.rotation import axis_angle_to_matrix, turn_about_y

_LAST_TURN = 39
"""Degrees of head turn, to either side, for which the contour has a row of its own."""


class MeshPoints(nn.Module):
    """Points on triangles of a mesh: a list of N, or a table whose rows are such lists."""

    corners: Tensor  # (..., N, 3) int64 vertices
    bary: Tensor  # (..., N, 3)

    def __init__(self, points: Correspondence, faces: Tensor) -> None:
        super().__init__()
        self.register_buffer("corners", faces[torch.from_numpy(points.faces)], persistent=False)
        self.register_buffer("bary", torch.from_numpy(points.bary), persistent=False)

    def forward(self, vertices: Tensor) -> Tensor:
        """The list's points on each mesh of a batch, (B, V, 3) -> (B, N, 3)."""
        return (vertices[:, self.corners] * self.bary[..., None]).sum(-2)

    def of_rows(self, vertices: Tensor, rows: Tensor) -> Tensor:
        """A row of the table for each mesh of a batch, (B, V, 3) and (B,) int64 -> (B, N, 3)."""
        meshes = torch.arange(len(vertices), device=vertices.device)[:, None, None]
        return (vertices[meshes, self.corners[rows]] * self.bary[rows][..., None]).sum(-2)


class Flame(nn.Module):
    """A face model that moves: batched, differentiable, on any device, in float32 or (after `.double()`) float64.

    Its arrays stay out of the state dict, since a checkpoint must not carry a licensed file.
    Source: FLAME (SIGGRAPH Asia 2017); DECA (SIGGRAPH 2021), reference decalib/models/FLAME.py.
    """

    v_template: Tensor  # (V, 3)
    faces: Tensor  # (F, 3) int64
    shape_components: Tensor  # (100, 3V)
    expression_components: Tensor  # (50, 3V)
    pose_correctives: Tensor  # (36, 3V)
    joint_regressor: Tensor  # (5, V)
    weights: Tensor  # (V, 5)

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        self.name = model.name
        self.parents = tuple(model.parents.tolist())
        components = torch.from_numpy(model.shapedirs).flatten(0, 1).T
        shape, expression = components.split([CODE_SIZES["shape"], CODE_SIZES["expression"]])
        constants = {
            "v_template": torch.from_numpy(model.v_template),
            "faces": torch.from_numpy(model.faces),
            "shape_components": shape.contiguous(),
            "expression_components": expression.contiguous(),
            "pose_correctives": torch.from_numpy(model.posedirs),
            "joint_regressor": torch.from_numpy(model.J_regressor),
            "weights": torch.from_numpy(model.weights),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)
        landmarks = model.landmarks
        self.contour_68 = MeshPoints(landmarks.dynamic, self.faces) if landmarks else None
        self.static_68 = MeshPoints(landmarks.static, self.faces) if landmarks else None
        self.full_68 = MeshPoints(landmarks.full, self.faces) if landmarks else None
        self.mediapipe_478 = MeshPoints(model.mediapipe, self.faces) if model.mediapipe else None

    def forward(self, codes: Codes) -> Tensor:
        """The mesh, (B, V, 3) in model space: metres, y up, looking along +z; the camera is not applied.

        A code may have one row for the whole batch: a track's one shape costs one frame's work that way.
        """
        offsets = codes.shape @ self.shape_components + codes.expression @ self.expression_components
        shaped = self.v_template + offsets.unflatten(1, (-1, 3))
        rotations = self._rotations(codes.pose, codes.eyes)
        bends = rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        corrected = shaped + (bends.flatten(1) @ self.pose_correctives).unflatten(1, (-1, 3))
        motions = joint_motions(self.joint_regressor @ shaped, rotations, self.parents)
        return skin(corrected, motions, self.weights)

    def landmarks_2d(self, vertices: Tensor, pose: Tensor) -> Tensor:
        """The 68 points as an annotator sees them, (B, V, 3) and (B, 6) -> (B, 68, 3).

        The 17 of the contour slide over the cheeks as the head turns; the other 51 stay where they are.
        """
        contour = self.present(self.contour_68, "68").of_rows(vertices, contour_rows(pose[:, :3]))
        return torch.cat([contour, self.present(self.static_68, "68")(vertices)], dim=1)

    def landmarks_3d(self, vertices: Tensor) -> Tensor:
        """The 68 points fixed to the head, (B, V, 3) -> (B, 68, 3)."""
        return self.present(self.full_68, "68")(vertices)

    def mediapipe_points(self, vertices: Tensor) -> Tensor:
        """MediaPipe's 478 points, (B, V, 3) -> (B, 478, 3)."""
        return self.present(self.mediapipe_478, "478")(vertices)

    def tracked_points(self, vertices: Tensor, pose: Tensor, count: int) -> Tensor:
        """The points that a tracker of that many gives, 478 or 68, (B, V, 3) and (B, 6) -> (B, count, 3)."""
        return self.mediapipe_points(vertices) if count == MEDIAPIPE_POINTS else self.landmarks_2d(vertices, pose)

    def _rotations(self, pose: Tensor, eyes: Tensor) -> Tensor:
        """Rotations of root, neck, jaw and eyes, (B, 5, 3, 3). The neck is stiff."""
        pose, eyes = torch.broadcast_tensors(pose, eyes)
        root, jaw = pose.split(3, dim=1)
        vectors = torch.cat([root, torch.zeros_like(root), jaw, eyes], dim=1)
        return axis_angle_to_matrix(vectors.unflatten(1, (5, 3)))

    def present(self, points: MeshPoints | None, count: str) -> MeshPoints:
        """Landmarks of this model. Raises FaceModelError, one line, if its file came without them."""
        if points is None:
            raise FaceModelError(
                f"the face model {self.name!r} comes without the {count} landmarks: they take landmark_embedding.npy "
                "('gdpw-pipe assets fetch landmark_embedding'), or an .npz of the model with them"
            )
        return points


def contour_rows(rotation: Tensor) -> Tensor:
    """Which row of the contour's table a head's rotation, (B, 3) axis-angle, asks for: (B,) int64.

    Rows 0 to 39 are degrees of a turn to the head's left, 40 to 78 those of 1 to 39 to its right; the turn is cut
    off at 39 and rounded, halves to even.
    """
    degrees = turn_about_y(axis_angle_to_matrix(rotation)).rad2deg()
    degrees = degrees.clamp(-_LAST_TURN, _LAST_TURN).round().long()
    return torch.where(degrees < 0, _LAST_TURN - degrees, degrees)

"""The orthographic camera, and the way from its plane to pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def project_orthographic(
    vertices: Tensor,  # (B, N, 3) model space: x to the model's left, y up, z to the front
    camera: Tensor,  # (B, 3) scale, shift x, shift y
) -> Tensor:  # (B, N, 3)
    """Model space -> the camera's plane: x right and y down in about -1..1, z away from the viewer.

    scale * (vertices + shift), then y and z change sign; z is scaled but not shifted.
    """
    scale, shift = camera[:, None, :1], pad(camera[:, None, 1:], (0, 1))
    return scale * (vertices + shift) * vertices.new_tensor([1, -1, -1])


def apply_recover(
    points: Tensor,  # (B, N, 2 or 3) the camera's plane; a third coordinate passes through
    recover: Tensor,  # (B, 3, 3) affine, on columns (x, y, 1)
) -> Tensor:  # (B, N, 2 or 3)
    """The camera's plane -> pixels of the picture that `recover` leads to."""
    xy = points[..., :2] @ recover[:, :2, :2].mT + recover[:, None, :2, 2]
    return pad(xy, (0, points.shape[-1] - 2)) + pad(points[..., 2:], (2, 0))


def recast_camera(
    camera: Tensor,  # (B, 3)
    recover: Tensor,  # (B, 3, 3) the way to pixels that goes with it
    other: Tensor,  # (B, 3, 3) another way to the same pixels; both are upright: scale and shift, no turn
) -> Tensor:  # (B, 3)
    """The cameras that, through `other`, draw in the picture what `camera` draws through `recover`."""
    between = torch.linalg.solve(other.double(), recover.double()).to(camera)
    scale = camera[:, :1] * between[:, 0, :1]
    shift = camera[:, 1:] + between[:, :2, 2] * camera.new_tensor([1, -1]) / scale
    return torch.cat([scale, shift], dim=1)

"""Rotations in the forms that FLAME and its tools speak: axis-angle vectors, matrices, quaternions, Euler angles.

Angles are radians. Quaternions are w, x, y, z. All functions take any leading axes and are differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def axis_angle_to_matrix(vector: Tensor) -> Tensor:
    """Rodrigues' formula, (..., 3) -> (..., 3, 3).

    The published arithmetic: the angle is the length of the vector after 1e-8 is added to each component, which
    keeps the gradient finite at rest. Source: DECA (SIGGRAPH 2021), reference decalib/models/lbs.py.
    """
    angle = (vector + 1e-8).norm(dim=-1, keepdim=True)
    cross = _cross_matrix(vector / angle)
    angle = angle[..., None]
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return identity + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


def axis_angle_derivatives(vector: Tensor) -> Tensor:
    """Those of `axis_angle_to_matrix` by the three components, which come first: (..., 3) -> (..., 3, 3, 3)."""
    moved = vector + 1e-8
    angle = moved.norm(dim=-1, keepdim=True)
    axis, by_angle = vector / angle, (moved / angle)[..., None, None]
    identity = torch.eye(3, dtype=vector.dtype, device=vector.device)
    cross = _cross_matrix(axis)[..., None, :, :]
    change = _cross_matrix((identity - by_angle[..., 0] * axis[..., None, :]) / angle[..., None])
    sine, cosine = angle.sin()[..., None, None], angle.cos()[..., None, None]
    turning = by_angle * (cosine * cross + sine * (cross @ cross))
    return turning + sine * change + (1 - cosine) * (change @ cross + cross @ change)


def _cross_matrix(vector: Tensor) -> Tensor:
    """The matrix that takes the cross product with a vector from the left, (..., 3) -> (..., 3, 3)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


def turn_about_y(matrix: Tensor) -> Tensor:
    """How far a rotation turns a head to its left (negative: right), (..., 3, 3) -> (...), in -pi/2..pi/2.

    Past a quarter turn the value comes back, as in the published code.
    """
    return torch.atan2(-matrix[..., 2, 0], matrix[..., :2, 0].norm(dim=-1))


def axis_angle_to_quaternion(vector: Tensor) -> Tensor:
    """(..., 3) -> (..., 4)."""
    half = vector.norm(dim=-1, keepdim=True) / 2
    return torch.cat([half.cos(), vector * (half / torch.pi).sinc() / 2], dim=-1)


def quaternion_to_axis_angle(quaternion: Tensor) -> Tensor:
    """(..., 4) of any length but zero -> (..., 3), the shorter way round: at most pi long."""
    shorter = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, xyz = shorter.split([1, 3], dim=-1)
    sine = xyz.norm(dim=-1, keepdim=True)
    at_rest = sine == 0
    angle = 2 * torch.atan2(sine, w)
    return xyz * torch.where(at_rest, 2 / w, angle / torch.where(at_rest, 1, sine))


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """(..., 4) of any length but zero -> (..., 3, 3)."""
    w, x, y, z = normalize(quaternion, dim=-1).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 4); its sign is arbitrary.

    The entries add up to all products of two components; the row of the largest component is the stable one.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = (row.unbind(-1) for row in matrix.unbind(-2))
    products = [
        *(1 + xx + yy + zz, zy - yz, xz - zx, yx - xy),
        *(zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx),
        *(xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz),
        *(yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz),
    ]
    rows = torch.stack(products, dim=-1).unflatten(-1, (4, 4))
    largest = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)
    return normalize(rows.take_along_dim(largest[..., None, None], dim=-2).squeeze(-2), dim=-1)


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """(..., 3, 3) -> (..., 3), at most pi long."""
    return quaternion_to_axis_angle(matrix_to_quaternion(matrix))


def euler_to_quaternion(angles: Tensor) -> Tensor:
    """(..., 3) turns about x, y, z -> (..., 4). Convention: the matrix is Rx Ry Rz."""
    (cx, cy, cz), (sx, sy, sz) = ((angles / 2).cos().unbind(-1), (angles / 2).sin().unbind(-1))
    parts = [
        cx * cy * cz - sx * sy * sz,
        sx * cy * cz + cx * sy * sz,
        cx * sy * cz - sx * cy * sz,
        cx * cy * sz + sx * sy * cz,
    ]
    return torch.stack(parts, dim=-1)

"""FLAME codes: what a fitter finds and what FLAME turns into a mesh."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CODE_SIZES = {"shape": 100, "expression": 50, "pose": 6, "eyes": 6, "camera": 3}
"""Length of each code, in the order of `Codes` and of its flat form."""


class Codes(NamedTuple):
    """A batch of FLAME codes, one row a frame.

    shape: (B, 100) identity coefficients, unit variance.
    expression: (B, 50) expression coefficients, unit variance.
    pose: (B, 6) axis-angle radians: global rotation, then jaw.
    eyes: (B, 6) axis-angle radians: left eye, then right eye.
    camera: (B, 3) scale, shift x, shift y of the orthographic camera (`camera.project_orthographic`).
    """

    shape: Tensor
    expression: Tensor
    pose: Tensor
    eyes: Tensor
    camera: Tensor

    def flat(self) -> Tensor:
        """All codes side by side, (B, 165), in the order of `CODE_SIZES`."""
        return torch.cat(list(self), dim=1)

    @classmethod
    def from_flat(cls, flat: Tensor) -> Codes:
        """The inverse of `flat`. Raises ValueError if the rows have another length."""
        if flat.shape[-1] != sum(CODE_SIZES.values()):
            raise ValueError(f"flat codes have {sum(CODE_SIZES.values())} columns, got {flat.shape[-1]}")
        return cls(*flat.split(list(CODE_SIZES.values()), dim=-1))

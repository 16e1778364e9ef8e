"""Rotations: derivatives in closed form beside those of automatic differentiation."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacfwd, vmap

from fit_deca.rotation import axis_angle_derivatives, axis_angle_to_matrix


@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-5, 0.0])
def test_derivatives_of_a_rotation_are_those_of_its_formula(size: float) -> None:
    vectors = size * torch.randn(20, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = vmap(jacfwd(axis_angle_to_matrix))(vectors).permute(0, 3, 1, 2)
    torch.testing.assert_close(axis_angle_derivatives(vectors), expected, rtol=1e-7, atol=1e-7)
    found = axis_angle_derivatives(vectors.float().reshape(4, 5, 3))
    torch.testing.assert_close(found.reshape(20, 3, 3, 3), expected.float(), rtol=1e-4, atol=1e-4)

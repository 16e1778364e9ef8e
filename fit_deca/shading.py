"""Spherical-harmonics shading: nine numbers a colour channel light a surface by its normals.

Sources: DECA (SIGGRAPH 2021), reference decalib/utils/renderer.py; the convolution of light with a matte surface is
Ramamoorthi and Hanrahan (SIGGRAPH 2001).
"""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor

_BAND_1 = 2 * pi / 3 * sqrt(3 / (4 * pi))
_BAND_2 = 3 * pi / 4 * sqrt(5 / (12 * pi))
FACTORS = (
    *(1 / sqrt(4 * pi), _BAND_1, _BAND_1, _BAND_1),
    *(_BAND_2, _BAND_2, _BAND_2, _BAND_2 / 2, pi / 8 * sqrt(5 / (4 * pi))),
)
"""Weight of each basis function of `harmonics`, as published: band 0 without the factor pi of the other two."""


def harmonics(normals: Tensor) -> Tensor:
    """The nine weighted basis functions of normals (..., 3) -> (..., 9).

    Basis 1, x, y, z, xy, xz, yz, x² - y², 3z² - 1, for normals of any length, as they come out of interpolation.
    """
    x, y, z = normals.unbind(-1)
    basis = torch.stack([torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], dim=-1)
    return basis * basis.new_tensor(FACTORS)


def shade(normals: Tensor, light: Tensor) -> Tensor:
    """Light on a white matte surface.

    normals: (B, ..., 3), model space, neither normalised nor clamped here; a zero normal is lit by bands 0 and 2.
    light: (B, 9, 3), RGB (`encoder.DecaCodes`).
    Returns (B, ..., 3) RGB, about 0..1 for DECA's lights, not clamped.
    """
    return (harmonics(normals).flatten(1, -2) @ light).view(normals.shape)

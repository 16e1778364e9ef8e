"""Shading by spherical harmonics."""

from __future__ import annotations

import math

import torch

from fit_deca.shading import shade


def test_constant_light_shades_every_direction_alike() -> None:
    light = torch.zeros(1, 9, 3)
    light[:, 0] = torch.tensor([1.0, 2.0, 3.0])
    normals = torch.nn.functional.normalize(torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    expected = torch.tensor([1.0, 2.0, 3.0]) / math.sqrt(4 * math.pi)
    torch.testing.assert_close(shade(normals, light), expected.expand(1, 20, 3))


def test_light_along_an_axis_brightens_what_faces_it_and_darkens_what_faces_away() -> None:
    light = torch.zeros(1, 9, 3)
    light[:, 3] = 1.0  # z
    towards, away, across = shade(torch.tensor([[[0.0, 0, 1], [0, 0, -1], [1, 0, 0]]]), light)[0, :, 0]
    assert towards > 0
    torch.testing.assert_close(away, -towards)
    assert across == 0


def test_each_item_of_a_batch_has_its_own_light() -> None:
    normals = torch.tensor([[[0.0, 0.6, 0.8]], [[0.0, 0.6, 0.8]]])
    light = torch.stack([torch.zeros(9, 3), torch.ones(9, 3)])
    dark, lit = shade(normals, light)
    assert dark.abs().max() == 0
    assert lit.abs().min() > 0

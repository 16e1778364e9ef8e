"""Cameras that draw the same through other ways to pixels."""

from __future__ import annotations

import torch

from fit_deca.camera import apply_recover, project_orthographic, recast_camera


def test_a_recast_camera_draws_the_same_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 5, 3, generator=generator)
    camera = torch.tensor([[7.0, 0.1, -0.2], [5.0, 0.0, 0.3]])
    recover = torch.tensor([[[112.0, 0, 30], [0, 112, -7], [0, 0, 1]], [[50.0, 0, 7], [0, 50, 9], [0, 0, 1]]])
    other = torch.tensor([[128.0, 0, 128], [0, 128, 128], [0, 0, 1]]).expand(2, 3, 3)
    recast = recast_camera(camera, recover, other)
    expected = apply_recover(project_orthographic(points, camera), recover)
    found = apply_recover(project_orthographic(points, recast), other)
    torch.testing.assert_close(found[..., :2], expected[..., :2], rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(recast[:, 0], camera[:, 0] * recover[:, 0, 0] / 128)

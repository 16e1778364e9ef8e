"""The conventions of flows, by hand on small pictures."""

from __future__ import annotations

import pytest
import torch

from gdpw.warp import backward_warp, base_grid, flow_from_head, resize_area


def test_the_grid_is_corner_aligned_x_before_y() -> None:
    grid = base_grid(2, 3)
    assert grid[0].tolist() == [[-1, -1], [0, -1], [1, -1]]
    assert grid[1].tolist() == [[-1, 1], [0, 1], [1, 1]]


def test_zero_flow_is_not_the_identity() -> None:
    """Pixel i of w reads position i * w / (w - 1) - 1/2: half a pixel of zeros comes in at the border."""
    row = torch.tensor([4.0, 8.0, 16.0]).expand(1, 1, 3, 3)
    warped = backward_warp(row, torch.zeros(1, 2, 3, 3))
    # Positions -0.5, 1 and 2.5 on both axes: the borders read half, the corners a quarter.
    torch.testing.assert_close(warped[0, 0], torch.tensor([[1.0, 4.0, 4.0], [2.0, 8.0, 8.0], [1.0, 4.0, 4.0]]))


def test_flow_points_from_the_driving_pixel_to_its_source() -> None:
    picture = torch.zeros(1, 1, 5, 5)
    picture[0, 0, 2, 4] = 1
    flow = torch.zeros(1, 2, 5, 5)
    flow[:, 0] = 2 * 2 / 5  # two pixels to the right
    warped = backward_warp(picture, flow)[0, 0]
    assert warped.argmax() == 2 * 5 + 2
    assert warped[2, 2] == pytest.approx(1)


def test_flow_past_the_rim_gives_zero() -> None:
    warped = backward_warp(torch.ones(1, 2, 4, 6), torch.full((1, 2, 4, 6), 3.0))
    assert warped.abs().sum() == 0


def test_one_feature_serves_a_batch_of_flows() -> None:
    feature, flows = torch.rand(1, 3, 4, 6), torch.rand(5, 2, 4, 6) - 0.5
    assert torch.equal(backward_warp(feature, flows), backward_warp(feature.repeat(5, 1, 1, 1), flows))


def test_half_precision_features_are_sampled_on_a_float32_grid() -> None:
    """At 512 pixels a bfloat16 grid would be off by a pixel and more."""
    ramp = torch.arange(512).remainder(8).to(torch.bfloat16).expand(1, 1, 4, 512)
    flow = torch.zeros(1, 2, 4, 512)
    flow[:, 0] = (1 - torch.arange(512) * 2 / 511) / 512  # undoes the shrink: position j exactly
    warped = backward_warp(ramp, flow)
    assert warped.dtype == torch.bfloat16
    torch.testing.assert_close(warped[:, :, 1:3, 1:-1], ramp[:, :, 1:3, 1:-1], rtol=0, atol=0.02)


def test_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in height or width"):
        backward_warp(torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 8, 8))


def test_warping_has_the_right_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    feature = torch.rand(1, 1, 3, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    flow = (torch.rand(1, 2, 3, 4, dtype=torch.float64, generator=generator) * 0.2).requires_grad_()
    assert torch.autograd.gradcheck(backward_warp, (feature, flow))


def test_a_flow_head_predicts_pixels_of_the_next_finer_level() -> None:
    displacement = torch.stack([torch.full((3, 4), 7.0), torch.full((3, 4), 5.0)])[None]
    flow = flow_from_head(displacement)
    assert flow.shape == (1, 2, 6, 8)
    torch.testing.assert_close(flow[0, :, 0, 0], torch.tensor([2 * 7 / 7, 2 * 5 / 5]))


def test_area_averaging_takes_the_mean_of_each_cell() -> None:
    assert resize_area(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), 1, 1).item() == 4

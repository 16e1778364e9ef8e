"""mesh-warp on the stand-in head, and on a mask with a mouth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from golden_set import read_npz, smooth
from torch import Tensor

from gdpw.geometry import ndc_to_pixels, pixels_to_ndc
from gdpw.mesh_warp import MeshWarp, determinant, longest_rim
from gdpw.rasterize import rasterize
from gdpw.smooth_fill import draw_waves, fit_waves

SIZE = 128
HEAD = read_npz("standin_head")
FACES = torch.from_numpy(HEAD["f"].astype(np.int64))


def head(
    yaw: float = 0.0, shift: tuple[float, float] = (0.0, 0.0), height: int = SIZE, width: int = SIZE, side: float = SIZE
) -> Tensor:
    """The stand-in head (V, 3) in NDC, turned by degrees, shifted by pixels, fit for a picture of that side."""
    angle = math.radians(yaw)
    turn = torch.tensor([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    points = torch.from_numpy(HEAD["v"]).float() @ turn.T
    points = (points - points.mean(0)) * (0.7 * side / torch.from_numpy(np.ptp(HEAD["v"], axis=0)).max())
    x, y, z = points.unbind(1)
    pixels = torch.stack([x + width / 2 + shift[0], -y + height / 2 + shift[1], -z], dim=1)
    return pixels_to_ndc(pixels, width, height)


def picture(height: int = SIZE, width: int = SIZE) -> Tensor:
    return torch.from_numpy(smooth("mesh warp", 3, height, width))


def pixel_flow(warp: MeshWarp, image: Tensor, source: Tensor, driving: Tensor) -> Tensor:
    """(2, H, W), pixels."""
    flow = warp.flow(warp.encode(image, source), driving[None])[0]
    height, width = image.shape[-2:]
    return flow * torch.tensor([width / 2, height / 2])[:, None, None]


def seen(driving: Tensor, height: int = SIZE, width: int = SIZE) -> Tensor:
    return rasterize(driving[None], FACES, height, width).triangle[0] > 0


def middle_of_face(driving: Tensor, height: int = SIZE, width: int = SIZE) -> Tensor:
    """The pixels with nothing but the upper part of the head for 6 pixels around."""
    outside = torch.nn.functional.max_pool2d((~seen(driving, height, width))[None].float(), 13, 1, 6)[0] > 0
    low = torch.arange(height)[:, None] > ndc_to_pixels(driving, width, height)[:, 1].quantile(0.5)
    return ~outside & ~low


def border(field: Tensor) -> Tensor:
    return torch.cat([field[..., 0, :], field[..., -1, :], field[..., 0], field[..., -1]], dim=-1)


def test_a_source_that_does_not_move_stays_as_it_is() -> None:
    warp = MeshWarp(FACES)
    image, vertices = picture(), head()
    (still,) = warp.animate(warp.encode(image, vertices), vertices[None])
    torch.testing.assert_close(still, image, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(SIZE, SIZE), (96, 160)])
def test_a_shifted_head_takes_its_pixels_along_and_leaves_the_border(height: int, width: int) -> None:
    warp = MeshWarp(FACES)
    image = picture(height, width)
    source, driving = (head(shift=shift, height=height, width=width, side=96) for shift in ((0, 0), (4, -3)))
    (moved,) = warp.animate(warp.encode(image, source), driving[None])
    inside = middle_of_face(driving, height, width)
    assert inside.sum() > 300
    assert (moved - image.roll((-3, 4), dims=(1, 2)))[:, inside].abs().max() < 0.02
    assert border(moved - image).abs().max() < 0.02


def test_what_lies_beside_the_head_follows_less_the_farther_it_is() -> None:
    flow = pixel_flow(MeshWarp(FACES), picture(), head(), head(shift=(5, 0)))
    row = SIZE // 2 - 10
    beside = torch.nonzero(seen(head(shift=(5, 0)))[row])[-1].item() + 1
    x = flow[0, row, beside:]
    assert x[0] < -4
    assert x[-1].abs() < 0.2
    assert (x.diff() > 0).all()


def test_there_is_no_kink_where_the_mesh_ends() -> None:
    flow = pixel_flow(MeshWarp(FACES), picture(), head(), head(shift=(5, 3)))
    for axis in (1, 2):
        assert flow.diff(dim=axis).diff(dim=axis).abs().max() < 0.1


@pytest.mark.parametrize("yaw", [-40, -20, 20, 40])
def test_a_turned_head_does_not_fold(yaw: float) -> None:
    warp = MeshWarp(FACES)
    flow = warp.flow(warp.encode(picture(), head()), head(yaw)[None])
    assert flow.abs().max() > 0.1
    assert determinant(flow).min() > 0


def test_the_determinant_is_the_area_of_source_in_a_pixel() -> None:
    x = torch.arange(6) / 3 - 1
    flow = torch.stack([-0.25 * x.expand(4, 6), torch.zeros(4, 6)])[None]
    torch.testing.assert_close(determinant(flow), torch.full((1, 3, 5), 0.75))
    torch.testing.assert_close(determinant(flow * 5), torch.full((1, 3, 5), -0.25))


def test_frames_made_together_come_out_as_alone() -> None:
    warp = MeshWarp(FACES)
    source = warp.encode(picture(), head())
    driving = torch.stack([head(yaw, (yaw / 5, 1)) for yaw in range(-10, 10, 2)])
    together = warp.animate(source, driving)
    assert together.shape == (10, 3, SIZE, SIZE)
    for number in (0, 9):
        torch.testing.assert_close(warp.animate(source, driving[number : number + 1])[0], together[number])


def mask(opening: float) -> tuple[Tensor, Tensor]:
    """A vaulted face of 18 x 17 vertices with a mouth: a slit with a deep pocket, whose lower lip drops by pixels."""
    steps = torch.linspace(24, 104, 17)
    x, y = (grid.clone() for grid in torch.meshgrid(steps, torch.cat([steps[:11], steps[10:]]), indexing="xy"))
    z = ((x - 64) ** 2 + (y - 64) ** 2) / 40
    upper, pocket, lower = 10, 11, 12
    y[upper], y[pocket], y[lower] = 71.8, 72, 72.2
    width = torch.exp(-(((x[0] - 64) / 14) ** 2))
    z[pocket] += 40 * width
    y[lower:] += opening * width * torch.linspace(1, 0, len(y) - lower)[:, None]
    y[pocket] += opening / 2 * width
    corner = torch.arange(17 * 17).view(17, 17)[:, :-1].flatten()
    faces = torch.cat(
        [torch.stack([corner, corner + 17, corner + 1], 1), torch.stack([corner + 1, corner + 17, corner + 18], 1)]
    )
    return pixels_to_ndc(torch.stack([x, y, z], dim=-1).flatten(0, 1), SIZE, SIZE), faces


def test_a_mouth_that_opens_parts_the_lips_and_is_dark_inside() -> None:
    closed, faces = mask(0)
    opened, _ = mask(16)
    image = torch.zeros(3, SIZE, SIZE)
    image[0, :72], image[2, 72:] = 1, 1  # red above the slit, blue below
    warp = MeshWarp(faces)
    warp.neck = faces.new_zeros(0)  # the rim of the mask is no neck
    source = warp.encode(image, closed)
    (same,) = warp.animate(source, closed[None])
    torch.testing.assert_close(same, image, atol=1e-5, rtol=0)
    (frame,) = warp.animate(source, opened[None])
    red, _, blue = frame[:, :, 64]
    assert red[:68].min() > 0.95
    assert blue[92:].min() > 0.95
    assert frame[:, 76:84, 64].sum(0).max() < 0.35


def test_the_longest_open_rim_is_the_neck() -> None:
    rim = longest_rim(FACES)
    lowest = torch.from_numpy(HEAD["v"])[:, 1].min()
    assert len(rim) > 10
    assert (torch.from_numpy(HEAD["v"])[rim, 1] < lowest + 0.02).all()
    tetrahedron = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    assert len(longest_rim(tetrahedron)) == 0


def test_waves_known_in_part_are_found_as_a_whole() -> None:
    truth = torch.zeros(1, 2, 4, 4)
    truth[0, 0, 0, 1], truth[0, 1, 2, 0] = 1.0, -0.5
    field = draw_waves(truth, 24, 32)
    weight = torch.zeros(1, 1, 24, 32)
    weight[..., 6:18, 4:26] = 1
    found = fit_waves(field * weight, weight, 4, 1e-7, 1e-9)
    torch.testing.assert_close(draw_waves(found, 24, 32), field, atol=0.02, rtol=0)


def test_a_tiny_source_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, got 8 x 64"):
        MeshWarp(FACES).encode(picture(8, 64), head())

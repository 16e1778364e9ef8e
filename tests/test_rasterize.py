"""The z-buffer by hand on small pictures, and the compiled one against the one in torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_set import read_npz
from torch import Tensor

from gdpw import rasterize_torch
from gdpw.geometry import ndc_to_pixels, normalize_depth, pixels_to_ndc
from gdpw.rasterize import interpolate, rasterize


def mesh(corners: list[tuple[float, float, float]], height: int, width: int) -> Tensor:
    """Corners in pixels -> one mesh (1, V, 3) in NDC."""
    return pixels_to_ndc(torch.tensor(corners), width, height)[None]


def head_poses(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """The stand-in head turned and shifted at random, partly outside the picture; its faces."""
    head = read_npz("standin_head")
    generator = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator)).Q
    shift = torch.randn(count, 1, 3, generator=generator) * torch.tensor([0.3, 0.3, 0])
    vertices = torch.from_numpy(head["v"]).float() * 7 @ turn + shift
    return vertices.contiguous(), torch.from_numpy(head["f"].astype(np.int64))


def test_pixels_and_ndc_share_their_edges() -> None:
    corners = torch.tensor([[0.0, 0.0, 5.0], [3.0, 2.0, 6.0], [0.5, 1.5, 7.0]])
    ndc = pixels_to_ndc(corners, width=3, height=2)
    torch.testing.assert_close(ndc, torch.tensor([[-1.0, -1.0, 5.0], [1.0, 1.0, 6.0], [-2 / 3, 0.5, 7.0]]))
    torch.testing.assert_close(ndc_to_pixels(ndc, width=3, height=2), corners)


def test_depth_fills_its_range_mesh_by_mesh() -> None:
    z = torch.tensor([[10.0, 14.0, 12.0], [0.5, 0.5, 1.0]])
    vertices = torch.stack([torch.zeros_like(z), torch.zeros_like(z), z], dim=-1)
    torch.testing.assert_close(
        normalize_depth(vertices)[..., 2], torch.tensor([[-1.0, 1.0, 0.0], [-1.0, -1.0, 1.0]]), atol=1e-6, rtol=0
    )


def test_a_triangle_on_a_picture_of_two_rows_and_three_columns() -> None:
    # turned to the viewer: counter-clockwise with y down. Covers the two left centres of the top row.
    vertices = mesh([(0, 0, 0), (0, 1.0, 1), (2.5, 0, 3)], height=2, width=3)
    fragments = rasterize(vertices, torch.tensor([[0, 1, 2]]), 2, 3, snap=None)
    assert fragments.triangle.tolist() == [[[1, 0, 0], [0, 0, 0]]]
    # centre (0.5, 0.5) = 0.3 a + 0.5 b + 0.2 c; the depths -1, -1/3, 1
    torch.testing.assert_close(fragments.bary[0, 0, 0], torch.tensor([0.3, 0.5]))
    torch.testing.assert_close(fragments.depth[0, 0, 0], torch.tensor(-0.3 - 0.5 / 3 + 0.2))
    assert fragments.bary[0, 1].abs().sum() == 0
    assert fragments.depth[0, 1].abs().sum() == 0


def test_the_nearer_surface_wins_in_any_order_of_faces() -> None:
    quad = [(0, 0, 0), (0, 4, 0), (4, 0, 0)]  # z 0: near
    far = [(x, y, 1) for x, y, _ in quad]
    vertices = mesh(quad + far, height=4, width=4)
    near_first = rasterize(vertices, torch.tensor([[0, 1, 2], [3, 4, 5]]), 4, 4)
    far_first = rasterize(vertices, torch.tensor([[3, 4, 5], [0, 1, 2]]), 4, 4)
    assert near_first.triangle[0, 0, 0] == 1
    assert torch.equal(far_first.triangle, near_first.triangle * 2)


def test_a_face_turned_away_hides_what_is_behind_it_and_shows_nothing() -> None:
    near_back = [(0, 0, 0), (4, 0, 0), (0, 4, 0)]  # clockwise with y down
    far_front = [(0, 0, 1), (0, 8, 1), (8, 0, 1)]
    vertices = mesh(near_back + far_front, height=4, width=4)
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    assert rasterize(vertices, faces, 4, 4, cull=False).triangle[0, 0].tolist() == [1, 1, 1, 2]
    culled = rasterize(vertices, faces, 4, 4)
    assert culled.triangle[0, 0].tolist() == [0, 0, 0, 2]
    assert culled.bary[0, 0, 0].tolist() == [0, 0]


def test_a_centre_on_a_shared_edge_belongs_to_one_face_only() -> None:
    corners = [(0.5, 0.5, 0), (0.5, 3.5, 0), (3.5, 3.5, 0), (3.5, 0.5, 0)]  # a square through pixel centres
    vertices = mesh(corners, height=4, width=4)
    one, two = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 2, 3]])
    covered = [rasterize(vertices, half, 4, 4).triangle[0] for half in (one, two)]
    assert (covered[0] * covered[1]).sum() == 0
    # of the square's border the left and the top side (y down: its upper rows) count as inside
    assert (covered[0] + covered[1]).tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    closed = rasterize(vertices, torch.cat([one, two]), 4, 4, snap=None).triangle[0]
    assert (closed > 0).all()


def test_corners_are_rounded_to_a_sixteenth_of_a_pixel() -> None:
    faces = torch.tensor([[0, 1, 2]])
    for left, seen in ((1.52, True), (1.54, False)):  # to 1.5, through the centre of the second column; to 1.5625
        vertices = mesh([(left, -4, 0), (left, 8, 0), (20, 2, 0)], height=4, width=4)
        assert bool(rasterize(vertices, faces, 4, 4).triangle[0, 2, 1]) is seen
        assert not rasterize(vertices, faces, 4, 4, snap=None).triangle[0, 2, 1]


def test_attributes_spread_linearly_and_stop_at_the_rim() -> None:
    vertices = mesh([(0, 0, 0), (0, 4, 0), (6, 0, 0)], height=2, width=3)
    faces = torch.tensor([[0, 1, 2]])
    pixel_xy = ndc_to_pixels(vertices, 3, 2)[..., :2]
    drawn = interpolate(rasterize(vertices, faces, 2, 3), faces, pixel_xy)
    torch.testing.assert_close(drawn[0, 0], torch.tensor([[0.5, 1.5, 2.5], [0.5, 1.5, 2.5]]))
    torch.testing.assert_close(drawn[0, 1], torch.tensor([[0.5, 0.5, 0.5], [1.5, 1.5, 1.5]]))
    outside = interpolate(rasterize(vertices + 5, faces, 2, 3), faces, pixel_xy + 1)
    assert outside.abs().max() == 0


def test_the_gradient_reaches_the_attributes() -> None:
    vertices = mesh([(0, 0, 0), (0, 4, 1), (4, 4, 0), (4, 0, 1)], height=4, width=4).repeat(2, 1, 1)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    fragments = rasterize(vertices, faces, 4, 4)
    attributes = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: interpolate(fragments, faces, values), attributes)


@pytest.mark.parametrize("snap", [16, None])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 80)])
def test_the_compiled_z_buffer_is_the_one_in_torch(height: int, width: int, snap: int | None) -> None:
    vertices, faces = head_poses(3, seed=2)
    fast = rasterize(vertices, faces, height, width, snap=snap)
    slow = rasterize(vertices, faces, height, width, snap=snap, draw=rasterize_torch.draw)
    assert (fast.triangle > 0).float().mean() > 0.1
    assert torch.equal(fast.triangle, slow.triangle)
    torch.testing.assert_close(fast.bary, slow.bary, atol=1e-6, rtol=0)
    torch.testing.assert_close(fast.depth, slow.depth, atol=1e-6, rtol=0)


def test_meshes_drawn_together_come_out_as_alone() -> None:
    vertices, faces = head_poses(4, seed=3)
    together = rasterize(vertices, faces, 32, 32)
    for item in range(4):
        alone = rasterize(vertices[item : item + 1], faces, 32, 32)
        assert all(torch.equal(one[0], many[item]) for one, many in zip(alone, together, strict=True))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_a_vertex_out_of_all_bounds_takes_only_its_own_faces_along(bad: float) -> None:
    vertices = mesh([(0, 0, 0), (0, 4, 1), (4, 0, 0), (bad, 4, 0)], height=4, width=4)
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    for draw in (None, rasterize_torch.draw):
        triangle = rasterize(vertices, faces, 4, 4, draw=draw).triangle
        assert triangle[0, 0, :3].tolist() == [1, 1, 1]


def test_wrong_shapes_and_missing_vertices_are_refused() -> None:
    faces = torch.tensor([[0, 1, 3]])
    with pytest.raises(ValueError, match="faces name vertices 0 to 3, there are 3"):
        rasterize(torch.zeros(1, 3, 3), faces, 4, 4)
    with pytest.raises(ValueError, match=r"need vertices \(B, V, 3\)"):
        rasterize(torch.zeros(3, 3), faces, 4, 4)


def test_nowhere_to_keep_compiled_code_is_no_obstacle() -> None:
    script = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"  # what numba sees where no folder can be written
        "from gdpw import rasterize_numba\n"
        "print(rasterize_numba._owns(-1.0, 0.0, 0.0))\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False)
    assert done.stdout.strip() == "False", done.stderr

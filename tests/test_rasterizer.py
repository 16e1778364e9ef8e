"""Antialiased maps: silhouettes by hand, gradients, and our rasteriser against nvdiffrast on a GPU."""

from __future__ import annotations

import sys

import pytest
import torch
from test_rasterize import head_poses, mesh
from torch import Tensor

from gdpw.rasterizer import NvdiffRasterizer, TorchRasterizer, make_rasterizer
from gdpw.silhouette import vertices_across

QUAD = torch.tensor([[0, 1, 2], [0, 2, 3]])


def quad(left: float, top: float, right: float, bottom: float, height: int, width: int) -> Tensor:
    """A rectangle in pixels that faces the viewer, at any depth."""
    return mesh([(left, top, 0), (left, bottom, 1), (right, bottom, 1), (right, top, 0)], height, width)


def coverage(vertices: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
    """The map of an attribute that is 1 everywhere, (height, width)."""
    return TorchRasterizer(faces)(vertices, torch.ones(*vertices.shape[:2], 1), height, width)[0, 0]


@pytest.mark.parametrize(("edge", "row"), [(1.75, [1, 0.75, 0]), (2.25, [1, 1, 0.25]), (1.5625, [1, 0.5625, 0])])
def test_an_upright_edge_blends_by_the_share_it_covers(edge: float, row: list[float]) -> None:
    covered = coverage(quad(-9, -9, edge, 9, 2, 3), QUAD, 2, 3)
    torch.testing.assert_close(covered, torch.tensor([row, row]))


def test_a_level_edge_blends_by_the_share_it_covers() -> None:
    covered = coverage(quad(-9, -9, 9, 1.25, 3, 2), QUAD, 3, 2)
    torch.testing.assert_close(covered, torch.tensor([[1.0, 1.0], [0.25, 0.25], [0.0, 0.0]]))


def test_contributions_of_two_sides_add_up() -> None:
    corner = mesh([(1.75, 1.75, 0), (1.75, -20, 1), (-20, 1.75, 1)], height=3, width=3)
    covered = coverage(corner, torch.tensor([[0, 1, 2]]), 3, 3)
    torch.testing.assert_close(covered, torch.tensor([[1, 0.75, 0], [0.75, 0.5, 0], [0, 0, 0]]))


def test_an_edge_that_faces_share_is_no_silhouette() -> None:
    vertices = quad(-9, -9, 9, 9, 4, 4)
    attributes = torch.tensor([[[0.0], [1.0], [3.0], [2.0]]])
    draw = TorchRasterizer(QUAD)
    assert draw.rasterize(vertices, 4, 4).triangle.unique().tolist() == [1, 2]
    maps = draw(vertices, attributes, 4, 4)[0, 0]
    torch.testing.assert_close(maps.diff(dim=0), torch.full((3, 4), 1 / 18))
    torch.testing.assert_close(maps.diff(dim=1), torch.full((4, 3), 2 / 18))


def test_the_nearer_surface_blends_with_the_farther() -> None:
    near, far = quad(-9, -9, 1.75, 9, 2, 3), quad(-9, -9, 9, 9, 2, 3)
    vertices = torch.cat([near * torch.tensor([1, 1, 0]), far * torch.tensor([1, 1, 0]) + torch.tensor([0, 0, 1])], 1)
    attributes = torch.tensor([1.0] * 4 + [5.0] * 4).view(1, 8, 1)
    maps = TorchRasterizer(torch.cat([QUAD, QUAD + 4]))(vertices, attributes, 2, 3)
    torch.testing.assert_close(maps[0, 0, 0], torch.tensor([1.0, 0.75 * 1 + 0.25 * 5, 5.0]))


def test_each_edge_knows_the_vertex_beyond() -> None:
    assert vertices_across(QUAD).tolist() == [[-1, 3, -1], [-1, -1, 1]]
    tetrahedron = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    assert vertices_across(tetrahedron).tolist() == [[3, 3, 3], [1, 1, 1], [2, 2, 2], [0, 0, 0]]


def test_the_gradient_passes_the_blend() -> None:
    draw = TorchRasterizer(QUAD)
    vertices = quad(0.75, 0.6, 2.75, 3.3, 4, 4).repeat(2, 1, 1)
    attributes = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: draw(vertices, values, 4, 4), attributes)


def test_a_rasterizer_adds_nothing_to_a_checkpoint() -> None:
    assert TorchRasterizer(QUAD).state_dict() == {}


def test_an_unknown_rasterizer_is_refused() -> None:
    with pytest.raises(ValueError, match="rasterizer must be one of torch, nvdiffrast, got 'opengl'"):
        make_rasterizer("opengl", QUAD)  # type: ignore[arg-type]


def test_missing_nvdiffrast_gives_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvdiffrast", None)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", None)
    with pytest.raises(ImportError, match=r"nvdiffrast cannot be imported .*, or take the rasterizer torch"):
        make_rasterizer("nvdiffrast", QUAD)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("height", "width"), [(64, 64), (256, 256), (96, 160)])
def test_nvdiffrast_draws_what_the_cpu_draws(height: int, width: int) -> None:
    pytest.importorskip("nvdiffrast.torch")
    vertices, faces = head_poses(8, seed=11)
    attributes = torch.randn(vertices.shape[1], 6, generator=torch.Generator().manual_seed(12))
    weights = torch.rand(8, 6, height, width, generator=torch.Generator().manual_seed(13))
    results = []
    for draw, device in ((TorchRasterizer(faces), "cpu"), (NvdiffRasterizer(faces).cuda(), "cuda")):
        leaf = attributes.clone().to(device).requires_grad_()
        maps = draw(vertices.to(device), leaf.expand(8, -1, -1), height, width)
        (maps * weights.to(device)).sum().backward()
        triangle = draw.rasterize(vertices.to(device), height, width).triangle
        assert leaf.grad is not None
        results.append((triangle.cpu(), maps.detach().cpu(), leaf.grad.cpu()))
    (ours, our_maps, our_gradient), (theirs, their_maps, their_gradient) = results
    assert (ours > 0).float().mean() > 0.1
    differ = ours != theirs
    assert differ.float().mean() <= 0.001
    near = torch.nn.functional.max_pool2d(differ[:, None].float(), 3, stride=1, padding=1) > 0  # blends reach this far
    assert ((our_maps - their_maps).abs() * ~near).max() <= 2e-3
    wrong = ((our_gradient - their_gradient).abs() > 2e-3).any(dim=1)
    assert wrong.sum() <= 18 * differ.sum()  # the corners of the faces that differ and of their neighbours


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_ours_draws_the_same_on_cuda() -> None:
    vertices, faces = head_poses(4, seed=14)
    attributes = torch.randn(4, vertices.shape[1], 6, generator=torch.Generator().manual_seed(15))
    on_cpu = TorchRasterizer(faces)(vertices, attributes, 96, 160)
    on_cuda = TorchRasterizer(faces).cuda()(vertices.cuda(), attributes.cuda(), 96, 160).cpu()
    assert ((on_cpu - on_cuda).abs() <= 1e-4).float().mean() >= 0.9999

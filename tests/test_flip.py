"""The mirror augmentation: golden example of section 15, and picture and mesh that stay together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_set import read_json, read_npz
from torch import Tensor

from gdpw.flip import flip_picture, flip_vertices, mirror_map
from gdpw.geometry import pixels_to_ndc
from gdpw.rasterize import rasterize


@pytest.fixture(scope="module")
def head() -> tuple[Tensor, Tensor]:
    """Vertices and faces of the stand-in head; its mirror image is itself."""
    mesh = read_npz("standin_head")
    return torch.from_numpy(mesh["v"]), torch.from_numpy(mesh["f"]).long()


def test_flipped_vertices_are_the_published_ones() -> None:
    golden = read_json("mesh_files")["flip_example"]
    vertices = pixels_to_ndc(torch.tensor(golden["verts_px"]), *golden["image_wh"])
    np.testing.assert_allclose(vertices, golden["normalised_unflipped"], rtol=1e-6, atol=1e-6)
    flipped = flip_vertices(vertices, torch.tensor(golden["mapping"]))
    np.testing.assert_allclose(flipped, golden["normalised_flipped"], rtol=1e-6, atol=1e-6)


def test_partners_are_left_and_right_and_the_middle_is_its_own() -> None:
    vertices = torch.tensor([[0.2, 1, 0], [0, 3, 1], [-0.2, 1, 0], [-0.2, 1, 5], [0.201, 1, 5]])
    assert mirror_map(vertices).tolist() == [2, 1, 0, 4, 3]


def test_a_head_without_a_mirror_image_is_refused() -> None:
    vertices = torch.tensor([[0.2, 1, 0], [-0.2, 1, 0], [0.3, 1, 0]])
    with pytest.raises(ValueError, match="1 of 3 vertices have no mirror image"):
        mirror_map(vertices)


def test_a_symmetric_head_at_rest_flips_onto_itself(head: tuple[Tensor, Tensor]) -> None:
    vertices = head[0]
    torch.testing.assert_close(flip_vertices(vertices, mirror_map(vertices)), vertices, rtol=0, atol=1e-6)


def test_flipping_twice_changes_nothing(head: tuple[Tensor, Tensor]) -> None:
    mirror = mirror_map(head[0])
    vertices = torch.randn(2, *head[0].shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(flip_vertices(flip_vertices(vertices, mirror), mirror), vertices)


def test_a_dot_stays_under_its_vertex() -> None:
    """A vertex in the middle of pixel 1 of 5 is in the middle of the white pixel 3 of the mirrored picture."""
    picture = torch.zeros(3, 2, 5)
    picture[:, 0, 1] = 1
    vertex = pixels_to_ndc(torch.tensor([[1.5, 0.5, 9.0]]), width=5, height=2)
    flipped = flip_vertices(vertex, torch.tensor([0]))
    torch.testing.assert_close(flipped, pixels_to_ndc(torch.tensor([[3.5, 0.5, 9.0]]), width=5, height=2))
    assert flip_picture(picture)[0].nonzero().tolist() == [[0, 3]]


@pytest.mark.parametrize("width", [48, 49])
def test_the_flipped_mesh_is_drawn_as_the_flipped_picture(head: tuple[Tensor, Tensor], width: int) -> None:
    """But for depths: the head's quads are split along one diagonal, its mirror image's along the other."""
    vertices, faces = head
    turn = torch.linalg.qr(torch.eye(3) + 0.3 * torch.randn(3, 3, generator=torch.Generator().manual_seed(0))).Q
    posed = (vertices @ turn * torch.tensor([7.0, -7, -7]) + torch.tensor([0.2, 0.1, 0]))[None]
    drawn = rasterize(posed, faces, 48, width, snap=None)
    flipped = rasterize(flip_vertices(posed, mirror_map(vertices)), faces, 48, width, snap=None)
    seen = drawn.triangle > 0
    assert 0.1 < seen.float().mean() < 0.9
    agree = flip_picture(seen) == (flipped.triangle > 0)
    assert agree.float().mean() > 0.999
    torch.testing.assert_close(flip_picture(drawn.depth)[agree], flipped.depth[agree], rtol=0, atol=0.01)

"""The plaster head: what light falls on a face of a mesh, where it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.shaded import AMBIENT, DIRECTED, draw_shaded

SIZE = 16
SQUARE = torch.tensor([[4.0, 4, 0], [12, 4, 0], [12, 12, 0], [4, 12, 0]])
FRONT = torch.tensor([[0, 2, 1], [0, 3, 2]])
"""Counter-clockwise as the viewer sees them."""


def drawn(vertices: torch.Tensor, faces: torch.Tensor = FRONT) -> np.ndarray:
    return draw_shaded(vertices[None], faces, SIZE, SIZE)[0]


def test_a_square_that_faces_the_viewer_gets_ambient_and_frontal_light() -> None:
    picture = drawn(SQUARE)
    expected = np.zeros((SIZE, SIZE, 3))
    expected[4:12, 4:12] = 255 * (AMBIENT + DIRECTED[2])
    np.testing.assert_allclose(picture, expected, atol=0.51)


def test_what_looks_up_is_brighter_than_what_looks_down() -> None:
    lean = torch.tensor([[0, 0, 3.0], [0, 0, 3], [0, 0, 0], [0, 0, 0]])
    up, down = drawn(SQUARE + lean), drawn(SQUARE + lean.flip(0))
    assert up[8, 8, 0] > drawn(SQUARE)[8, 8, 0] > down[8, 8, 0]


def test_the_back_of_a_mesh_stays_black() -> None:
    assert not drawn(SQUARE, FRONT.flip(1)).any()


def test_a_border_through_a_pixel_is_gray() -> None:
    picture = drawn(SQUARE + torch.tensor([0.5, 0, 0]))
    assert picture[8, 4, 0] == pytest.approx(picture[8, 8, 0] / 2, abs=1)


def test_meshes_of_a_batch_are_lit_apart() -> None:
    turned = SQUARE * torch.tensor([1, 1, 0]) + torch.tensor([[0, 0, 4.0], [0, 0, 0], [0, 0, 0], [0, 0, 4]])
    both = draw_shaded(torch.stack([SQUARE, turned]), FRONT, SIZE, SIZE)
    assert (both[0] == drawn(SQUARE)).all()
    assert (both[1] == drawn(turned)).all()
    assert (both[0] != both[1]).any()

"""The drawn mesh: front edges only, at the right place."""

from __future__ import annotations

import numpy as np

from pipeline.overlay import MeshPen

TRIANGLE = np.array([[2.0, 2.0, 0], [2.0, 6.0, 0], [7.0, 2.0, 0]], np.float32)
"""Counter-clockwise as seen, with y down."""


def test_lines_lie_on_the_enlarged_edges() -> None:
    pen = MeshPen(np.array([[0, 1, 2]]), scale=4, color=(255, 255, 255), opacity=1.0)
    drawn = pen(np.zeros((10, 10, 3), np.uint8), TRIANGLE)
    assert drawn.shape == (40, 40, 3)
    assert drawn[16, 7:9, 0].min() > 100  # the left edge, x = 2 px: between pixels 7 and 8
    assert drawn[7:9, 16, 0].min() > 100  # the upper edge, y = 2 px
    assert drawn[:, :6].max() == 0
    assert drawn[30:].max() == 0


def test_faces_turned_away_are_not_drawn() -> None:
    pen = MeshPen(np.array([[0, 2, 1]]))
    assert pen(np.zeros((10, 10, 3), np.uint8), TRIANGLE).max() == 0


def test_the_picture_shines_through_and_stays_as_it_was() -> None:
    image = np.full((10, 10, 3), 40, np.uint8)
    drawn = MeshPen(np.array([[0, 1, 2]]), scale=4, color=(240, 240, 240), opacity=0.5)(image, TRIANGLE)
    assert drawn[39, 39].tolist() == [40, 40, 40]
    assert 60 < drawn[16, 7, 0] <= 140
    assert (image == 40).all()

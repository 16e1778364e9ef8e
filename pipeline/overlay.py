"""A mesh drawn on the picture it was fitted to, for people to look at."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SUBPIXEL_BITS = 4


class MeshPen:
    """Draws the edges of a mesh's front in thin lines on the enlarged picture.

    scale: whole number of times by which pictures are enlarged. color: RGB. opacity: 0..1 of the lines.
    """

    def __init__(
        self,
        faces: NDArray[np.int64],  # (F, 3)
        scale: int = 3,
        color: tuple[int, int, int] = (80, 255, 120),
        opacity: float = 0.3,
    ) -> None:
        self.faces, self.scale, self.color, self.opacity = faces, scale, color, opacity
        sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        self._edges, edge_of_side = np.unique(sides, axis=0, return_inverse=True)
        self._edges_of_faces = edge_of_side.reshape(-1, 3)

    def __call__(self, image: NDArray[np.uint8], vertices: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Draw on an (H, W, 3) picture.

        vertices: (V, 2 or 3) in its pixels, counted from its edges. Returns (scale * H, scale * W, 3); lines outside
        the picture are cut off.
        """
        height, width = image.shape[:2]
        picture = cv2.resize(image, (width * self.scale, height * self.scale), interpolation=cv2.INTER_CUBIC)
        points = vertices[:, :2].astype(np.float64)
        shown = np.unique(self._edges_of_faces[_faces_viewer(points[self.faces])])
        centres = points[self._edges[shown]] * self.scale - 0.5
        lines = np.rint(centres * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        drawn = cv2.polylines(picture.copy(), list(lines), False, self.color, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
        return cv2.addWeighted(drawn, self.opacity, picture, 1 - self.opacity, 0).astype(np.uint8, copy=False)


def draw_points(
    image: NDArray[np.uint8],  # (H, W, 3)
    vertices: NDArray[np.float32],  # (V, 2 or 3) in its pixels, counted from its edges
    scale: int = 2,
    color: tuple[int, int, int] = (80, 255, 120),
) -> NDArray[np.uint8]:  # (scale * H, scale * W, 3)
    """Every vertex, the back's too, as a pixel of the enlarged picture: for a mesh whose triangles are unknown."""
    height, width = scale * image.shape[0], scale * image.shape[1]
    picture = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
    x, y = np.floor(vertices[:, :2] * scale).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    picture[y[inside], x[inside]] = color
    return picture


def _faces_viewer(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which triangles (F, 3, 2), counter-clockwise seen from outside, show their outside; y runs down."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0

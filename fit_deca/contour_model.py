"""FLAME at the 68 points that an annotator sees, of which 17 slide over the cheeks as the head turns."""

from __future__ import annotations

import torch
from torch import Tensor

from fit_deca.flame import Flame, contour_rows
from fit_deca.point_model import ROTATION, PointModel


class ContourModel:
    """The 68 points with the methods of `PointModel`.

    Which points these are follows from the head's rotation (`flame.contour_rows`). A call works out those of all rows
    that some frame asks for, and takes each frame's out of them: heads turn little from one frame to the next.
    Left out of the derivatives: that the contour slides.
    """

    def __init__(self, flame: Flame) -> None:
        """Raises FaceModelError for a face model without the 68 landmarks."""
        contour, static = flame.present(flame.contour_68, "68"), flame.present(flame.static_68, "68")
        corners = torch.cat([static.corners, contour.corners.flatten(0, 1)])
        self._all = PointModel(flame, corners, torch.cat([static.bary, contour.bary.flatten(0, 1)]))
        self._static, self._slots = len(static.corners), contour.corners.shape[1]
        self.codes, self.motion = self._all.codes, self._all.motion

    def neutral(self, shape: Tensor) -> Tensor:
        """The offsets of a shape (100,) at rest, of the points of all rows."""
        return self._all.neutral(shape)

    def points(self, neutral: Tensor, motion: Tensor) -> Tensor:
        """(F, 65) motions -> (F, 3, 68)."""
        numbers, own = self._numbers(motion)
        points = self._all.picked(numbers).points(neutral[..., numbers], motion)
        return points.take_along_dim(own[:, None], dim=2)

    def linearize(
        self, neutral: Tensor, motion: Tensor, *, axes: int = 3, with_shape: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Points (F, axes, 68) and their derivatives (F, axes, 65, 68) by the motion; see `PointModel.linearize`."""
        numbers, own = self._numbers(motion)
        model = self._all.picked(numbers)
        points, jacobian = model.linearize(neutral[..., numbers], motion, axes=axes, with_shape=with_shape)
        return points.take_along_dim(own[:, None], dim=2), jacobian.take_along_dim(own[:, None, None], dim=3)

    def _numbers(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        """The points that some frame asks for, by their numbers among all, and each frame's 68 of them (F, 68)."""
        rows, row_of_frame = contour_rows(motion[:, ROTATION]).unique(return_inverse=True)
        static = torch.arange(self._static, device=motion.device)
        slots = self._static + torch.arange(self._slots, device=motion.device)
        numbers = torch.cat([static, (slots + self._slots * rows[:, None]).flatten()])
        own = [slots + self._slots * row_of_frame[:, None], static.expand(len(motion), -1)]
        return numbers, torch.cat(own, dim=1)

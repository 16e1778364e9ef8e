"""The reduced model against FLAME itself, and its derivatives against automatic ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toy_flame import toy_model

from fit_deca.camera import project_orthographic
from fit_deca.flame import Flame
from fit_deca.head import load_generic_head
from fit_deca.point_model import MOTION_SIZE, SHAPE_SIZE, PointModel


def point_model(flame: Flame) -> PointModel:
    assert flame.mediapipe_478 is not None
    return PointModel(flame, flame.mediapipe_478.corners, flame.mediapipe_478.bary)


def some_person(frames: int) -> tuple[Tensor, Tensor]:
    """A shape and motions of that many frames, far from rest."""
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(SHAPE_SIZE, generator=generator, dtype=torch.float64)
    return shape, 0.3 * torch.randn(frames, MOTION_SIZE, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("model", [load_generic_head(), toy_model()], ids=lambda model: model.name)
def test_points_are_those_of_flames_mesh(model) -> None:
    """The toy has pose correctives, which the generic head lacks. Depth is counted from the root joint."""
    flame = Flame(model).double()
    points, (shape, motion) = point_model(flame), some_person(3)
    codes = points.codes(shape, motion)
    expected = project_orthographic(flame.mediapipe_points(flame(codes)), codes.camera)
    actual = points.points(points.neutral(shape), motion).mT
    torch.testing.assert_close(actual[..., :2], expected[..., :2])
    torch.testing.assert_close(actual[..., 2].diff(), expected[..., 2].diff())


@pytest.mark.parametrize("axes", [2, 3])
def test_derivatives_by_motion_and_shape_are_the_automatic_ones(axes: int) -> None:
    points, (shape, motion) = point_model(Flame(load_generic_head()).double()), some_person(1)
    predicted, jacobian = points.linearize(points.neutral(shape), motion, axes=axes, with_shape=True)

    def seen(shape: Tensor, motion: Tensor) -> Tensor:
        return points.points(points.neutral(shape), motion)[0, :axes]

    by_shape, by_motion = torch.func.jacfwd(seen, argnums=(0, 1))(shape, motion)
    torch.testing.assert_close(predicted[0], seen(shape, motion))
    torch.testing.assert_close(jacobian[0, :, :MOTION_SIZE], by_motion[:, :, 0].transpose(1, 2))
    torch.testing.assert_close(jacobian[0, :, MOTION_SIZE:], by_shape.transpose(1, 2))

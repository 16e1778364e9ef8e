"""Retargeting by hand on a head of twelve vertices, and the way from codes to pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from toy_flame import CHIN, LEFT_CHEEK, LIFTED_BY_EXPRESSION, LIFTED_BY_SHAPE, toy_model

from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.flame import Flame
from pipeline.performance import Performance
from pipeline.render import Animate, Stage, Take, retarget
from pipeline.shards import FaceModelStamp

SIZE = 8
RECOVER = torch.tensor([[SIZE / 2, 0, SIZE / 2], [0, SIZE / 2, SIZE / 2], [0, 0, 1]])


def codes(rows: int, *, shape: float = 0, expression: float = 0, scale: float = 0.1) -> Codes:
    made = Codes(*(torch.zeros(rows, size) for size in CODE_SIZES.values()))
    made.shape[:, LIFTED_BY_SHAPE] = shape
    made.expression[:, LIFTED_BY_EXPRESSION] = expression
    made.camera[:, 0] = scale
    return made


def take(codes: Codes) -> Take:
    rows = len(codes.shape)
    return Take(
        times=np.arange(rows) / 25,
        images=np.full((rows, SIZE, SIZE, 3), 100, np.uint8),
        codes=codes,
        recover=RECOVER.double().expand(rows, 3, 3).numpy(),
        vertices=retarget(Flame(toy_model()), codes, codes, RECOVER.expand(rows, 3, 3)).numpy(),
    )


def performance(codes: Codes) -> Performance:
    rows = len(codes.shape)
    return Performance(
        times=np.arange(rows) / 25,
        codes=codes,
        recover=RECOVER.double().expand(rows, 3, 3).numpy(),
        size=SIZE,
        face_model=FaceModelStamp(name="toy", hash="0"),
    )


def test_shape_is_the_sources_and_the_rest_the_drivers() -> None:
    source, driving = codes(1, shape=1, expression=5, scale=0.4), codes(2, shape=-3, expression=2)
    vertices = retarget(Flame(toy_model()), source, driving, RECOVER.expand(2, 3, 3))
    # The chin, at (0, 3, 1), is lifted to y = 4 by the source's shape: 0.1 * 4 up is 4 - 0.4 * 4 px down.
    torch.testing.assert_close(vertices[1, CHIN], torch.tensor([4.0, 4 - 1.6, -0.4]))
    # The left cheek, at (1, 3, 1), is lifted to y = 5 by the driver's expression.
    torch.testing.assert_close(vertices[1, LEFT_CHEEK], torch.tensor([4 + 0.4, 4 - 2.0, -0.4]))


class PaintsTheChin:
    """A model that lights the source up by the height of its chin, in NDC."""

    def encode(self, image: Tensor, vertices: Tensor) -> Tensor:
        assert vertices.shape == (12, 3)
        return image

    def animate(self, source: Tensor, driving: Tensor) -> Tensor:
        assert len(driving) <= 2
        return source - driving[:, CHIN, 1, None, None, None] / 2


def test_on_a_wider_stage_the_square_is_shown_and_meshes_move_with_it() -> None:
    made = take(codes(1))
    wide = replace(made, images=np.pad(made.images, ((0, 0), (2, 2), (2, 2), (0, 0))))
    stage = Stage(take=wide, shown=SIZE, change=np.array([[1.0, 0, 2], [0, 1, 2], [0, 0, 1]]))
    driving = performance(codes(1))
    alone, staged = (next(Animate(Flame(toy_model()), PaintsTheChin())(source, driving)) for source in (made, stage))
    assert staged.shape == alone.shape
    # A pixel is a smaller part of the wider picture, and so is the chin's way from its middle.
    brighter = (alone.astype(float) - 100) * SIZE / (SIZE + 4)
    np.testing.assert_allclose(staged, 100 + brighter, atol=1)


def test_every_driving_frame_becomes_a_picture_of_the_source_in_order() -> None:
    driving = codes(5, shape=1)
    driving.camera[:, 0] = torch.tensor([0.0, 0.1, 0.2, 0.3, 9.0])
    pictures = list(Animate(Flame(toy_model()), PaintsTheChin(), batch=2)(take(codes(1)), performance(driving)))
    assert [picture.shape for picture in pictures] == [(SIZE, SIZE, 3)] * 5
    # The chin is at y = 4, so at -4 * scale in NDC; 100 + 255 * 2 * scale, no brighter than 255.
    assert [picture[0, 0, 0].item() for picture in pictures] == [100, 151, 202, 253, 255]
    assert all(picture.dtype == np.uint8 for picture in pictures)

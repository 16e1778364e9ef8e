"""What a driver's motion becomes on another face, worked out by hand on a head of twelve vertices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_flame import LIFTED_BY_EXPRESSION, toy_model

from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.flame import Flame
from fit_deca.rotation import axis_angle_to_matrix
from fit_deca.smoothing import OneEuroConfig, OneEuroFilter
from pipeline.performance import Performance
from pipeline.render import Take, meshes
from pipeline.shards import FaceModelStamp
from pipeline.transfer import TransferConfig, in_picture, neutral_frame, smoothed, transfer

SIZE = 100
FLAME = Flame(toy_model())
STILL = TransferConfig(smooth="none")


def codes(rows: int, *, scale: float = 0.1) -> Codes:
    made = Codes(*(torch.zeros(rows, size) for size in CODE_SIZES.values()))
    made.camera[:, 0] = scale
    return made


def performance(codes: Codes, size: int = SIZE) -> Performance:
    rows = len(codes.shape)
    return Performance(
        times=np.arange(rows) / 25,
        codes=codes,
        recover=np.tile([[size / 2, 0, size / 2], [0, size / 2, size / 2], [0, 0, 1]], (rows, 1, 1)),
        size=size,
        face_model=FaceModelStamp(name="toy", hash="0"),
    )


def source(codes: Codes) -> Take:
    alone = performance(codes)
    return Take(
        times=alone.times,
        images=np.zeros((1, SIZE, SIZE, 3), np.uint8),
        codes=codes,
        recover=alone.recover,
        vertices=meshes(FLAME, alone).numpy(),
    )


def middles(performance: Performance) -> np.ndarray:
    return meshes(FLAME, performance)[..., :2].mean(1).numpy()


def random_codes(rows: int) -> Codes:
    generator = torch.Generator().manual_seed(1)
    made = Codes(*(0.1 * torch.randn(rows, size, generator=generator) for size in CODE_SIZES.values()))
    made.camera[:, 0] = 0.1
    return made


@pytest.mark.parametrize("kept", [{"shape"}, {"shape", "pose"}, set(), {"expression", "eyes"}])
def test_what_is_kept_is_the_sources_and_all_else_the_drivers(kept: set[str]) -> None:
    mine, his = random_codes(1), random_codes(4)
    given = transfer(source(mine), performance(his), replace(STILL, keep=frozenset(kept)), FLAME)
    for name in ("shape", "expression", "pose", "eyes"):
        expected = getattr(mine, name).expand(4, -1) if name in kept else getattr(his, name)
        torch.testing.assert_close(getattr(given.codes, name), expected, msg=name)


def test_the_head_stays_in_its_place_and_as_large_where_the_drivers_rests() -> None:
    mine, his = codes(1, scale=0.08), codes(5, scale=0.02)
    mine.camera[:, 1:] = torch.tensor([[1.0, -2.0]])
    his.camera[:, 1:] = torch.tensor([[8.0, 3.0]] * 4 + [[8.5, 3.0]])
    given = transfer(source(mine), performance(his, size=50), STILL, FLAME)
    expected = middles(performance(mine))
    np.testing.assert_allclose(middles(given)[:4], np.repeat(expected, 4, axis=0), atol=1e-3)
    # Half a unit to the right, on a head that is 0.08 * 50 pixels a unit.
    np.testing.assert_allclose(middles(given)[4], expected[0] + [0.5 * 4, 0], atol=1e-3)
    assert given.size == SIZE


def test_a_way_that_leads_out_of_the_picture_is_shortened() -> None:
    mine, his = codes(1), codes(101)
    his.camera[:, 1] = torch.linspace(-30, 30, 101)
    given = middles(transfer(source(mine), performance(his), STILL, FLAME))
    points = source(mine).vertices[0, :, 0]
    room = min(points.mean() - np.ptp(points) / 2, SIZE - points.mean() - np.ptp(points) / 2)
    assert np.abs(given[1:-1, 0] - given[50, 0]).max() == pytest.approx(room, abs=0.1)
    assert (np.diff(given[:, 0]) > 0).all()


def test_relative_motion_starts_with_the_sources_own_face() -> None:
    mine, his = random_codes(1), random_codes(4)
    given = transfer(source(mine), performance(his), replace(STILL, relative="first"), FLAME)
    for name in ("shape", "expression", "pose", "eyes"):
        torch.testing.assert_close(getattr(given.codes, name)[:1], getattr(mine, name), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        given.codes.expression[2] - mine.expression[0], his.expression[2] - his.expression[0], rtol=0, atol=1e-5
    )
    turned = matrix(given.codes.pose[2]) @ matrix(mine.pose[0]).mT
    torch.testing.assert_close(turned, matrix(his.pose[2]) @ matrix(his.pose[0]).mT, rtol=0, atol=1e-5)
    np.testing.assert_allclose(middles(given)[0], middles(performance(mine))[0], atol=0.05)


def matrix(pose: Tensor) -> Tensor:
    return axis_angle_to_matrix(pose[:3])


def test_the_neutral_frame_has_the_least_expression_and_the_closest_mouth() -> None:
    made = codes(4)
    made.expression[:, LIFTED_BY_EXPRESSION] = torch.tensor([1.0, 0.1, 0.0, 0.3])
    made.pose[2, 3] = 0.3
    assert neutral_frame(made) == 1
    mine = codes(1)
    mine.expression[:, LIFTED_BY_EXPRESSION] = 2
    given = transfer(source(mine), performance(made), replace(STILL, relative="neutral"), FLAME)
    torch.testing.assert_close(given.codes.expression[:, LIFTED_BY_EXPRESSION], 2 + torch.tensor([0.9, 0.0, -0.1, 0.2]))


def jumping_crops(rows: int) -> Performance:
    """A head at rest in the picture, seen through crops that jump: only `recover` and camera together stay."""
    steady = performance(codes(rows))
    rng = np.random.default_rng(0)
    zoom, offset = rng.uniform(20, 80, rows), rng.uniform(30, 70, (rows, 2))
    recover = np.zeros((rows, 3, 3))
    recover[:, 0, 0] = recover[:, 1, 1] = zoom
    recover[:, :2, 2], recover[:, 2, 2] = offset, 1
    camera = steady.codes.camera.clone()
    camera[:, 0] *= torch.from_numpy(SIZE / 2 / zoom)
    shift = torch.from_numpy((SIZE / 2 - offset) / zoom[:, None]) / camera[:, :1]
    camera[:, 1:] += (shift * torch.tensor([1, -1])).float()
    return replace(steady, codes=steady.codes._replace(camera=camera), recover=recover)


def test_cameras_in_the_picture_draw_the_same_meshes() -> None:
    jumping = jumping_crops(6)
    np.testing.assert_allclose(meshes(FLAME, in_picture(jumping)), meshes(FLAME, jumping), atol=1e-3)


def test_a_head_at_rest_stays_there_however_its_crops_jump() -> None:
    jumping = jumping_crops(6)
    steady = smoothed(jumping, OneEuroConfig())
    np.testing.assert_allclose(meshes(FLAME, steady), meshes(FLAME, performance(codes(6))), atol=1e-3)


def test_expression_pose_and_camera_are_filtered_with_the_published_settings() -> None:
    given = smoothed(performance(random_codes(6)), OneEuroConfig()).codes
    for name in CODE_SIZES:
        value = getattr(random_codes(6), name)
        if name in ("expression", "pose", "camera"):
            value = OneEuroFilter(OneEuroConfig(min_cutoff=0.5, beta=0))(value)
        torch.testing.assert_close(getattr(given, name), value, msg=name)


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="keep is any of shape"):
        TransferConfig(keep=frozenset({"hair"}))

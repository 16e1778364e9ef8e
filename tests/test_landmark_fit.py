"""The fitter on points made from known codes, and on real footage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pytest
import torch
from fit_measures import jitter, measure
from torch import Tensor
from toy_flame import toy_arrays

from fit_deca.camera import project_orthographic
from fit_deca.codes import Codes
from fit_deca.contour_model import ContourModel
from fit_deca.errors import FaceModelError
from fit_deca.flame import Flame, contour_rows
from fit_deca.head import load_generic_head
from fit_deca.landmarks import FitResult, LandmarkConfig, LandmarkFitter, solve_chain
from fit_deca.model_file import face_model_from_arrays
from fit_deca.point_model import PointModel
from fit_deca.rotation import axis_angle_to_matrix
from pipeline.crop import CropConfig, CropTrack, crop_track
from pipeline.fit import FitConfig, FitTrack
from pipeline.pictures import read_picture
from pipeline.records import Frame
from pipeline.sources import clip_of
from pipeline.tracks import find_tracks, track_picture

SIZE = 256
EXACT = LandmarkConfig(noise=0.005 / SIZE, depth_noise=0.02 / SIZE, smoothing=0, shape_steps=10, motion_steps=6)


class Acted(NamedTuple):
    """A head that moves in a known way, in crops of 256 pixels."""

    codes: Codes
    vertices: Tensor  # (T, V, 3)
    landmarks: Tensor  # (T, 478, 3)
    head_pose: Tensor  # (T, 3, 3)
    times: Tensor  # (T,)


@pytest.fixture(scope="module")
def flame() -> Flame:
    return Flame(load_generic_head())


def act(flame: Flame, frames: int, fps: float = 25.0) -> Acted:
    """Some person who turns, talks and looks around, once in two seconds."""
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(frames, dtype=torch.float64) / fps
    slow, fast = (torch.pi * times).sin()[:, None].float(), (2 * torch.pi * times).sin()[:, None].float()
    still = torch.zeros_like(slow)
    codes = Codes(
        shape=(0.5 * torch.randn(100, generator=generator)).expand(frames, -1),
        expression=0.3 * torch.randn(50, generator=generator) * fast,
        pose=torch.cat([0.1 * slow, 0.3 * slow, 0.05 * fast, 0.15 * fast.square(), still, still], dim=1),
        eyes=0.2 * torch.cat([slow, fast, still] * 2, dim=1),
        camera=torch.tensor([7.0, 0.01, 0.0]) + 0.01 * slow,
    )
    half = SIZE / 2
    vertices = project_orthographic(flame(codes), codes.camera) * half + torch.tensor([half, half, 0])
    head_pose = axis_angle_to_matrix(codes.pose[:, :3])
    return Acted(codes, vertices, flame.mediapipe_points(vertices), head_pose, times)


def fit(flame: Flame, acted: Acted, config: LandmarkConfig | None = None) -> FitResult:
    return LandmarkFitter(flame, config or LandmarkConfig())(acted.landmarks, acted.head_pose, SIZE, acted.times)


def picture_distance(actual: Tensor, expected: Tensor) -> Tensor:
    """Pixels, depth left out."""
    return (actual - expected)[..., :2].norm(dim=-1)


def test_exact_points_give_the_whole_mesh_back(flame: Flame) -> None:
    acted = act(flame, 40)
    found = fit(flame, acted, EXACT)
    assert picture_distance(found.vertices, acted.vertices).max() < 0.1
    depth = (found.vertices - acted.vertices)[..., 2]
    assert (depth - depth.mean()).abs().quantile(0.9) < 0.1
    assert (found.codes.pose - acted.codes.pose).abs().max() < 0.002
    assert (found.codes.eyes - acted.codes.eyes).abs().max() < 0.01


def test_doubtful_points_are_followed_to_a_tenth_of_a_pixel(flame: Flame) -> None:
    """With the default trust, which expects errors of a pixel and unusual codes to be unlikely."""
    found = fit(flame, act(flame, 40))
    assert found.error_px.median() < 0.1
    assert found.error_px.quantile(0.95) < 0.3


def test_error_is_that_of_the_vertices_that_come_with_it(flame: Flame) -> None:
    acted = act(flame, 3)
    found = fit(flame, acted)
    torch.testing.assert_close(
        found.error_px, picture_distance(flame.mediapipe_points(found.vertices), acted.landmarks), atol=1e-3, rtol=0
    )


def test_codes_and_recover_give_the_vertices(flame: Flame) -> None:
    found = fit(flame, act(flame, 3))
    plane = project_orthographic(flame(found.codes), found.codes.camera)
    assert found.recover[0].tolist() == [[128, 0, 128], [0, 128, 128], [0, 0, 1]]
    torch.testing.assert_close(found.vertices, plane * 128 + torch.tensor([128.0, 128, 0]), atol=1e-3, rtol=0)


def test_one_shape_for_all_frames(flame: Flame) -> None:
    shape = fit(flame, act(flame, 20)).codes.shape
    assert (shape == shape[0]).all()


def test_a_single_frame_is_a_track(flame: Flame) -> None:
    found = fit(flame, act(flame, 1))
    assert found.vertices.shape == (1, len(flame.v_template), 3)
    assert found.error_px.median() < 0.15


def test_one_point_in_twenty_may_be_anywhere(flame: Flame) -> None:
    acted, generator = act(flame, 30), np.random.default_rng(0)
    astray = torch.from_numpy(generator.random((30, 478)) < 0.05)
    wrong = torch.from_numpy(generator.uniform(0, SIZE, (30, 478, 3))).float()
    found = fit(flame, acted._replace(landmarks=torch.where(astray[..., None], wrong, acted.landmarks)))
    right = picture_distance(flame.mediapipe_points(found.vertices), acted.landmarks)
    assert right.median() < 0.2
    assert right.quantile(0.95) < 0.6


def test_points_held_out_change_nothing_and_are_met(flame: Flame) -> None:
    acted, held_out = act(flame, 20), tuple(range(3, 478, 5))
    config = LandmarkConfig(held_out=held_out)
    elsewhere = acted.landmarks.clone()
    elsewhere[:, list(held_out)] = 0
    found, same = fit(flame, acted, config), fit(flame, acted._replace(landmarks=elsewhere), config)
    torch.testing.assert_close(found.vertices, same.vertices, atol=0, rtol=0)
    assert found.error_px[:, list(held_out)].median() < 0.15


def test_smoothing_calms_shaking_points(flame: Flame) -> None:
    acted = act(flame, 50)
    shaken = acted.landmarks + torch.from_numpy(np.random.default_rng(0).normal(0, 0.7, acted.landmarks.shape)).float()
    calm, free = (fit(flame, acted._replace(landmarks=shaken), LandmarkConfig(smoothing=s)) for s in (0.08, 0))
    true_jitter = jitter(acted.vertices.numpy())
    assert jitter(shaken.numpy()) > 4 * true_jitter
    assert jitter(calm.vertices.numpy()) < 0.75 * jitter(free.vertices.numpy())
    assert (
        picture_distance(calm.vertices, acted.vertices).median()
        < picture_distance(free.vertices, acted.vertices).median()
    )


def test_smoothing_means_the_same_at_any_frame_rate(flame: Flame) -> None:
    """Twice the frames, or time stamps twice as far apart: only the latter changes what is smoothed away."""
    strong = LandmarkConfig(smoothing=1.0)
    slow, fast = act(flame, 50, fps=25), act(flame, 100, fps=50)
    at_25, at_50 = fit(flame, slow, strong), fit(flame, fast, strong)
    stretched = fit(flame, slow._replace(times=slow.times * 2), strong)
    inner = slice(5, -5)
    same = picture_distance(at_50.vertices[::2], at_25.vertices)[inner].median()
    other = picture_distance(stretched.vertices, at_25.vertices)[inner].median()
    assert same < 0.3 * other


def test_fits_are_repeated_to_the_bit(flame: Flame) -> None:
    acted = act(flame, 40)
    for first, second in zip(fit(flame, acted).codes, fit(flame, acted).codes, strict=True):
        assert torch.equal(first, second)


def test_chain_of_blocks_is_solved(flame: Flame) -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 4, 4, generator=generator, dtype=torch.float64)
    ties = torch.rand(5, 4, generator=generator, dtype=torch.float64)
    right = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    blocks = root @ root.mT + 3 * torch.eye(4, dtype=torch.float64)
    dense = torch.block_diag(*blocks)
    for t in range(5):
        here, there = slice(4 * t, 4 * t + 4), slice(4 * t + 4, 4 * t + 8)
        dense[here, there] = dense[there, here] = -torch.diag(ties[t])
    expected = torch.linalg.solve(dense, right.flatten()).unflatten(0, (6, 4))
    torch.testing.assert_close(solve_chain(blocks, ties, right), expected, atol=1e-4, rtol=1e-3)


def test_a_head_without_the_points_is_refused() -> None:
    with pytest.raises(FaceModelError, match="'bare' comes without the 478 landmarks"):
        LandmarkFitter(Flame(face_model_from_arrays(toy_arrays(), "bare")), LandmarkConfig())


def test_pictures_of_one_time_are_fitted(flame: Flame) -> None:
    acted = act(flame, 10)
    found = fit(flame, acted._replace(times=acted.times[[0, 0, *range(2, 10)]]))
    assert found.error_px.isfinite().all()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="noise must be positive"):
        LandmarkConfig(noise=0)
    with pytest.raises(ValueError, match="smoothing must not be negative"):
        LandmarkConfig(smoothing=-1)


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(flame: Flame) -> None:
    acted = act(flame, 40)
    found = fit(Flame(load_generic_head()).cuda(), acted)
    assert picture_distance(found.vertices.cpu(), fit(flame, acted).vertices).max() < 0.1


def test_real_footage_is_followed_within_a_pixel(carphone: Path) -> None:
    (track,) = find_tracks(clip_of(carphone))
    crops = CropTrack(CropConfig())(track)
    stage = FitTrack(FitConfig())
    found = measure(stage.face_model, track, crops, stage(track, crops))
    assert found.error_median < 1.0
    assert found.error_p95 < 3.0
    assert found.yaw < 5
    assert found.pitch < 5
    assert found.edges_kept > 0.99
    assert found.jitter < found.shaking


def test_a_portrait_is_fitted(astronaut: Path) -> None:
    image = read_picture(astronaut)
    track = track_picture(image)
    crops = crop_track(track, [Frame(number=0, time=0.0, image=image)], SIZE)
    found = FitTrack(FitConfig())(track, crops)
    assert found.vertices.shape[0] == 1
    assert np.median(found.error_px) < 1.0


@pytest.mark.parametrize("count", [478, 68])
def test_either_set_of_points_is_met(flame: Flame, count: Literal[478, 68]) -> None:
    acted = act(flame, 12)
    points = flame.tracked_points(acted.vertices, acted.codes.pose, count)
    found = LandmarkFitter(flame, LandmarkConfig(), count)(points, acted.head_pose, SIZE, acted.times)
    assert found.error_px.shape == (12, count)
    assert found.error_px.median() < 0.2
    assert picture_distance(found.vertices, acted.vertices).median() < 0.7


def test_points_that_slide_have_the_derivatives_of_their_own_row(flame: Flame) -> None:
    acted = act(flame, 12)
    model = ContourModel(flame)
    motion = model.motion(acted.codes)
    neutral = model.neutral(acted.codes.shape[0])
    points, slopes = model.linearize(neutral, motion)
    assert len(contour_rows(motion[:, :3]).unique()) > 2
    plane = project_orthographic(flame(acted.codes), acted.codes.camera)
    expected = flame.landmarks_2d(plane, acted.codes.pose)
    torch.testing.assert_close(points.mT[..., :2], expected[..., :2], rtol=0, atol=1e-4)
    step = torch.zeros_like(motion)
    step[:, 15:] = 1e-2 * torch.randn(50, generator=torch.Generator().manual_seed(1))
    moved = model.points(neutral, motion + step) - points
    torch.testing.assert_close(torch.einsum("fakp,fk->fap", slopes, step), moved, rtol=0, atol=1e-4)


def test_codes_and_motions_are_inverse(flame: Flame) -> None:
    acted = act(flame, 5)
    model = PointModel.of_mediapipe(flame)
    back = model.codes(acted.codes.shape[0], model.motion(acted.codes))
    torch.testing.assert_close(back.flat(), acted.codes.flat(), rtol=0, atol=1e-4)


def far_off(codes: Codes, generator: torch.Generator) -> Codes:
    """Expressions anew in every frame, as DECA's are."""
    return codes._replace(
        shape=codes.shape + torch.randn(1, 100, generator=generator),
        expression=codes.expression + torch.randn(codes.expression.shape, generator=generator),
        pose=codes.pose + torch.tensor([0.1, -0.1, 0.1, 0, 0, 0]),
        camera=codes.camera * 1.1,
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_refined_codes_are_as_near_to_a_strangers_points_as_a_fit_without_them_and_as_calm(
    flame: Flame, seed: int
) -> None:
    acted = act(flame, 12)
    generator = torch.Generator().manual_seed(seed)
    beyond_the_model = torch.randn(1, 478, 3, generator=generator)
    shaking = 0.3 * torch.randn(12, 478, 3, generator=generator)
    acted = acted._replace(landmarks=acted.landmarks + beyond_the_model + shaking)
    plain = fit(flame, acted)
    off = far_off(acted.codes, generator)
    refined = LandmarkFitter(flame, LandmarkConfig())(acted.landmarks, acted.head_pose, SIZE, acted.times, start=off)
    for share in (0.5, 0.95):
        assert refined.error_px.quantile(share) < plain.error_px.quantile(share)
    jitters = [jitter(flame.mediapipe_points(result.vertices)[..., :2].numpy()) for result in (refined, plain)]
    assert jitters[0] < 1.01 * jitters[1]


def test_codes_far_off_are_refined_onto_the_points(flame: Flame) -> None:
    acted = act(flame, 12)
    off = far_off(acted.codes, torch.Generator().manual_seed(1))
    plain = fit(flame, acted)
    refined = LandmarkFitter(flame, LandmarkConfig())(acted.landmarks, acted.head_pose, SIZE, acted.times, start=off)
    assert refined.error_px.median() < 0.3
    start_shape = off.shape[0]
    assert (refined.codes.shape[0] - start_shape).norm() < (plain.codes.shape[0] - start_shape).norm()

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pipeline import metrics
from pipeline.jitter import jitter_px


@pytest.fixture
def pictures() -> list[NDArray[np.uint8]]:
    """Two smooth pictures with noise, 40 x 48."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:40, :48]
    ground = 128 + 80 * np.sin(x / 7)[..., None] * np.cos(y / 5)[..., None] * np.array([1, 0.8, 0.5])
    return [(ground + rng.normal(0, 12, (40, 48, 3))).clip(0, 255).astype(np.uint8) for _ in range(2)]


def test_l1_of_a_hand_worked_picture() -> None:
    result, truth = np.zeros((1, 2, 3), np.uint8), np.array([[[255, 0, 0], [0, 51, 0]]], np.uint8)
    assert metrics.l1(result, truth) == pytest.approx(1.2 / 6)
    assert metrics.l1(result, truth, np.array([[False, True]])) == pytest.approx(0.2 / 3)


def test_psnr_is_that_of_scikit_image(pictures: list[NDArray[np.uint8]]) -> None:
    assert metrics.psnr(*pictures) == pytest.approx(peak_signal_noise_ratio(*pictures), abs=1e-9)


def test_psnr_within_a_mask_is_that_of_its_pixels(pictures: list[NDArray[np.uint8]]) -> None:
    mask = np.zeros((40, 48), bool)
    mask[4:20, 8:30] = True
    part = [picture[4:20, 8:30] for picture in pictures]
    assert metrics.psnr(*pictures, mask) == pytest.approx(peak_signal_noise_ratio(*part), abs=1e-9)


def test_ssim_is_that_of_scikit_image(pictures: list[NDArray[np.uint8]]) -> None:
    expected, full = structural_similarity(
        *pictures, gaussian_weights=True, use_sample_covariance=False, channel_axis=2, data_range=255, full=True
    )
    assert metrics.ssim(*pictures) == pytest.approx(expected, abs=1e-9)
    mask = np.zeros((40, 48), bool)
    mask[10:20, 10:20] = True
    assert metrics.ssim(*pictures, mask) == pytest.approx(full.mean(2)[mask].mean(), abs=1e-9)


def test_ssim_of_too_small_a_picture_is_refused() -> None:
    small = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="11 pixels"):
        metrics.ssim(small, small)


def test_a_picture_is_a_perfect_copy_of_itself(pictures: list[NDArray[np.uint8]]) -> None:
    one = pictures[0]
    assert metrics.l1(one, one) == 0
    assert metrics.psnr(one, one) == metrics.PSNR_CAP
    assert metrics.ssim(one, one) == pytest.approx(1, abs=1e-12)


def test_keypoint_distance_counts_pixels_of_pictures_256_wide() -> None:
    truth = np.zeros((2, 3, 2))
    shifted = truth + np.array([3, 4])
    assert metrics.keypoint_distance(shifted, truth, 256) == pytest.approx(5)
    assert metrics.keypoint_distance(shifted, truth, 512) == pytest.approx(2.5)


def test_expression_distance_of_hand_worked_codes() -> None:
    assert metrics.expression_distance(np.array([[1.0, -1.0]]), np.array([[0.0, 1.0]])) == 1.5


def test_rotation_distance_is_that_of_scipy() -> None:
    turns = Rotation.random(64, rng=np.random.default_rng(2))
    others = Rotation.random(64, rng=np.random.default_rng(3))
    expected = np.rad2deg((turns.inv() * others).magnitude()).mean()
    assert metrics.rotation_distance(turns.as_rotvec(), others.as_rotvec()) == pytest.approx(expected, abs=1e-4)


def test_rotation_distance_of_nearly_equal_heads_is_exact() -> None:
    turn = np.array([[0.3, -0.2, 0.1]])
    assert metrics.rotation_distance(turn, turn) == pytest.approx(0, abs=1e-5)
    assert metrics.rotation_distance(np.zeros((1, 3)), np.array([[0, np.deg2rad(0.01), 0]])) == pytest.approx(
        0.01, abs=1e-5
    )


def test_jitter_of_points_that_tremble_twice_as_much_is_two() -> None:
    noise = np.random.default_rng(4).normal(size=(20, 5, 2))
    numbers = np.arange(20)
    assert metrics.jitter_ratio(2 * noise, noise, numbers) == pytest.approx(2, abs=1e-5)
    assert metrics.jitter_ratio(noise, noise, numbers) == 1
    still = np.zeros((20, 5, 2))
    assert metrics.jitter_ratio(noise, still, numbers) is None
    assert jitter_px(still.astype(np.float32), numbers) == 0


def test_the_hull_of_a_face_holds_what_lies_between_its_points() -> None:
    mask = metrics.hull(np.array([[2, 2], [2, 10], [10, 2], [10, 10], [5, 5]]), 16)
    assert mask.sum() == 81
    assert mask[2:11, 2:11].all()

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from pipeline.frechet import frechet_distance


def _by_scipy(features: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    covariances = [np.cov(some, rowvar=False) for some in (features, others)]
    shared = np.trace(sqrtm(covariances[0] @ covariances[1]).real)
    apart = np.square(features.mean(0) - others.mean(0)).sum()
    return float(apart + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * shared)


@pytest.mark.parametrize("counts", [(200, 150), (200, 12), (9, 12)])
def test_the_distance_is_that_of_scipys_root_of_the_product(counts: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(16, 16))
    features, others = rng.normal(size=(counts[0], 16)) @ mixed, rng.normal(0.5, 2, size=(counts[1], 16))
    expected = _by_scipy(features, others)
    assert frechet_distance(features, others) == pytest.approx(expected, rel=1e-4)


def test_the_distance_of_two_lines_is_worked_by_hand() -> None:
    """Means 0 and 3, variances 2 and 8: 9 + 2 + 8 - 2 * 4."""
    features, others = np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])
    assert frechet_distance(features, others) == pytest.approx(11)


def test_a_set_is_at_no_distance_from_itself() -> None:
    features = np.random.default_rng(1).normal(size=(40, 8))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)

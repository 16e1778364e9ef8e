import numpy as np
import pytest

from pipeline.confidence import LEVEL, difference, interval


@pytest.mark.parametrize("videos", [8, 30])
def test_intervals_cover_a_known_difference_at_the_stated_rate(videos: int) -> None:
    rng = np.random.default_rng(0)
    gain, held, trials = 0.3, 0, 500
    for trial in range(trials):
        hard = rng.normal(5, 2, videos)  # how hard a video is, for both models
        found = difference((hard + gain + rng.normal(0, 0.5, videos)).tolist(), hard.tolist(), seed=trial)
        assert found is not None
        held += found.low <= gain <= found.high
    error = 3 * np.sqrt(LEVEL * (1 - LEVEL) / trials)
    assert abs(held / trials - LEVEL) <= error


def test_differences_video_by_video_are_surer_than_the_means_apart() -> None:
    rng = np.random.default_rng(1)
    hard = rng.normal(5, 2, 20)
    better = hard - 0.2 + rng.normal(0, 0.05, 20)
    apart, paired = interval(better.tolist()), difference(better.tolist(), hard.tolist())
    assert apart is not None
    assert paired is not None
    assert paired.high < 0
    assert apart.low < hard.mean() < apart.high


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(2).normal(size=10).tolist()
    assert interval(values, seed=3) == interval(values, seed=3)
    assert interval(values, seed=3) != interval(values, seed=4)


def test_one_video_says_nothing_of_others() -> None:
    assert interval([]) is None
    only = interval([2.5])
    assert only is not None
    assert (only.mean, only.low, only.high, only.videos) == (2.5, 2.5, 2.5, 1)

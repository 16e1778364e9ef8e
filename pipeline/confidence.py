"""How sure a mean over videos is: bootstrap intervals, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
"""Share of such intervals that hold the true mean."""
DRAWS = 4000


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The mean over so many videos, and between which values the true one lies; those are the mean for one video."""

    mean: float
    low: float
    high: float
    videos: int


def interval(values: Sequence[float], seed: int = 0) -> Interval | None:
    """The mean of values, one a video, and its interval; None without values.

    Videos are drawn again with replacement; frames of one video say the same again and are no evidence of their own.
    The quantiles are widened as Student's t is, or intervals of few videos would be too narrow.
    Source: Hesterberg, What teachers should know about the bootstrap (2015), expanded percentiles.
    """
    sample = np.asarray(values, np.float64)
    count = len(sample)
    if count == 0:
        return None
    mean = float(sample.mean())
    if count == 1:
        return Interval(mean=mean, low=mean, high=mean, videos=1)
    drawn = np.random.default_rng(seed).integers(count, size=(DRAWS, count))
    tail = stats.norm.cdf(stats.t.ppf((1 - LEVEL) / 2, count - 1) * np.sqrt(count / (count - 1)))
    low, high = np.quantile(sample[drawn].mean(1), [tail, 1 - tail])
    return Interval(mean=mean, low=float(low), high=float(high), videos=count)


def difference(values: Sequence[float], others: Sequence[float], seed: int = 0) -> Interval | None:
    """The mean of value less other, of the same videos in the same order, and its interval."""
    return interval(np.subtract(values, others).tolist(), seed)

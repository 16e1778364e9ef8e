"""Random numbers by position: draw number n of a seed is the same whoever asks, and whatever was asked before."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

WORDS = 4
"""Random words a position: one block of the generator."""


class Purpose(IntEnum):
    """Sequences that have nothing to do with one another, though their seed is the same."""

    PEOPLE = 0
    PAIRS = 1
    FLIPS = 2
    COLOURS = 3
    SHARDS = 4


def random_words(seed: int, purpose: Purpose, first: int, count: int) -> Words:
    """Positions first to first + count - 1 of a sequence: (count, 4) words of 64 bits, in the same time for any first.

    seed: 0 to 2**64 - 1. The generator is Philox, keyed by seed and purpose and started at that position.
    """
    key = np.array([seed, purpose], np.uint64)
    return np.random.Philox(key=key, counter=first).random_raw(WORDS * count).reshape(count, WORDS)


def below(words: Words, limits: NDArray[Any] | int) -> NDArray[np.int64]:
    """Whole numbers from 0 up to but not including their limits (at most 2**31), each as likely as the others.

    To within one part in 2**32 / limit, for the upper half of each word is scaled.
    """
    scaled = (words >> np.uint64(32)) * np.asarray(limits).astype(np.uint64)
    return (scaled >> np.uint64(32)).astype(np.int64)


def fractions(words: Words) -> NDArray[np.float64]:
    """Numbers from 0 up to but not including 1."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def shuffled(seed: int, purpose: Purpose, round_: int, count: int) -> NDArray[np.int64]:
    """The numbers from 0 to count - 1 in the random order of that round."""
    blocks = -(-count // WORDS)
    words = random_words(seed, purpose, round_ * blocks, blocks).ravel()[:count]
    return np.argsort(words, kind="stable")

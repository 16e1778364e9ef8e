"""Random numbers by position: the same from any start, evenly spread, and apart by purpose and seed."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.draws import Purpose, below, fractions, random_words, shuffled


def test_a_position_has_the_same_words_from_any_start() -> None:
    whole = random_words(7, Purpose.PAIRS, 0, 50)
    assert whole.shape == (50, 4)
    for first, count in ((0, 3), (1, 1), (17, 33)):
        np.testing.assert_array_equal(random_words(7, Purpose.PAIRS, first, count), whole[first : first + count])


def test_purposes_and_seeds_share_no_words() -> None:
    runs = [random_words(seed, purpose, 0, 25) for seed in (0, 1) for purpose in Purpose]
    assert len(np.unique(runs)) == 2 * len(Purpose) * 25 * 4


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises((ValueError, OverflowError)):
        random_words(-1, Purpose.PAIRS, 0, 1)


@pytest.mark.parametrize("limit", [1, 3, 10])
def test_every_number_below_the_limit_is_equally_likely(limit: int) -> None:
    counts = np.bincount(below(random_words(0, Purpose.PAIRS, 0, 10_000).ravel(), limit), minlength=limit)
    assert len(counts) == limit
    assert (np.abs(counts / 40_000 - 1 / limit) < 0.01).all()


def test_each_word_has_a_limit_of_its_own() -> None:
    numbers = below(np.full(3, 2**64 - 1, np.uint64), np.array([1, 5, 2**31]))
    assert numbers.tolist() == [0, 4, 2**31 - 1]


def test_fractions_fill_the_range_and_stay_below_one() -> None:
    assert fractions(np.array([0, 2**63, 2**64 - 1], np.uint64)).tolist() == [0, 0.5, 1 - 2**-53]


@pytest.mark.parametrize("count", [1, 4, 5, 1_000])
def test_a_round_is_an_order_of_all(count: int) -> None:
    assert sorted(shuffled(3, Purpose.PEOPLE, 2, count)) == list(range(count))


def test_rounds_differ() -> None:
    orders = {tuple(shuffled(3, Purpose.PEOPLE, round_, 10).tolist()) for round_ in range(100)}
    assert len(orders) == 100

"""Augmentation: mirrored and recoloured pairs, alike on both pictures, decided by seed and number alone."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.augment import Augment, AugmentConfig, recolour, turn_hue
from pipeline.pairs import Pair, PairBatch

AS_IT_IS = AugmentConfig(flip=0, brightness=0, contrast=0, saturation=0, hue=0)
MIRROR = torch.tensor([1, 0, 2])


def make_batch(first: int = 0, count: int = 4, size: int = 6) -> PairBatch:
    """Random pictures and meshes of three vertices; what lies under a number depends on that alone."""

    def random(pair: Pair) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(pair.number)
        pictures = torch.randint(256, (2, size, size, 3), generator=generator, dtype=torch.uint8)
        return *pictures, *torch.rand(2, 3, 3, generator=generator)

    pairs = [Pair(number, 0, 0, 1) for number in range(first, first + count)]
    source, driving, *vertices = (torch.stack(part) for part in zip(*map(random, pairs), strict=True))
    return PairBatch(0, pairs, source.permute(0, 3, 1, 2), driving.permute(0, 3, 1, 2), *vertices)


def test_without_augmentation_pictures_become_fractions_and_nothing_else() -> None:
    batch = make_batch()
    plain = Augment(AS_IT_IS, 0, MIRROR)(batch)
    torch.testing.assert_close(plain.source, batch.source / 255)
    torch.testing.assert_close(plain.driving, batch.driving / 255)
    assert torch.equal(plain.source_vertices, batch.source_vertices)
    assert plain.source.dtype == torch.float32


def test_pictures_stay_channels_last() -> None:
    batch = make_batch()
    augmented = Augment(AugmentConfig(), 0, MIRROR)(batch)
    for pictures in (augmented.source, augmented.driving):
        assert pictures.is_contiguous(memory_format=torch.channels_last)


def test_the_batch_given_stays_as_it_is() -> None:
    batch = make_batch()
    Augment(AugmentConfig(flip=1), 0, MIRROR)(batch)
    for before, after in zip(make_batch()[2:], batch[2:], strict=True):
        assert torch.equal(before, after)


def test_a_flip_mirrors_both_pictures_and_both_meshes() -> None:
    batch = make_batch()
    flipped = Augment(AugmentConfig(flip=1, brightness=0, contrast=0, saturation=0, hue=0), 0, MIRROR)(batch)
    torch.testing.assert_close(flipped.source, batch.source.flip(3) / 255)
    torch.testing.assert_close(flipped.driving, batch.driving.flip(3) / 255)
    for before, after in (
        (batch.source_vertices, flipped.source_vertices),
        (batch.driving_vertices, flipped.driving_vertices),
    ):
        assert torch.equal(after, before[:, MIRROR] * torch.tensor([-1, 1, 1]))


def test_half_of_the_pairs_are_mirrored_and_the_rest_not() -> None:
    batch = make_batch(count=400)
    flipped = Augment(AugmentConfig(brightness=0, contrast=0, saturation=0, hue=0), 0, MIRROR)(batch)
    mirrored = (flipped.source_vertices[:, 2, 0] < 0).tolist()
    assert 160 < sum(mirrored) < 240
    for row in range(20):
        expected = batch.driving[row].flip(2) if mirrored[row] else batch.driving[row]
        torch.testing.assert_close(flipped.driving[row], expected / 255)


def test_a_pair_is_augmented_alike_in_whatever_batch_it_comes() -> None:
    augment = Augment(AugmentConfig(), 5, MIRROR)
    whole = augment(make_batch(0, 16))
    for first in (0, 4, 12):
        part = augment(make_batch(first, 4))
        torch.testing.assert_close(part.source, whole.source[first : first + 4])
        assert torch.equal(part.source_vertices, whole.source_vertices[first : first + 4])


def test_seeds_and_numbers_differ() -> None:
    pairs = [Pair(number, 0, 0, 1) for number in range(8)]
    one = Augment(AugmentConfig(), 0, MIRROR).colour_factors(pairs)
    other = Augment(AugmentConfig(), 1, MIRROR).colour_factors(pairs)
    assert len(torch.cat([one, other]).unique(dim=0)) == 16


def test_factors_fill_their_range_and_keep_within() -> None:
    config = AugmentConfig(brightness=0.1, contrast=0.2, saturation=0.3, hue=0.4)
    factors = Augment(config, 0, MIRROR).colour_factors([Pair(number, 0, 0, 1) for number in range(2_000)])
    reach = torch.tensor([0.1, 0.2, 0.3, 0.4])
    middle = torch.tensor([1.0, 1, 1, 0])
    assert ((factors - middle).abs() <= reach + 1e-6).all()
    assert ((factors - middle).amax(0) > 0.98 * reach).all()
    assert ((factors - middle).amin(0) < -0.98 * reach).all()


def recolour_one(rgb: list[list[float]], brightness: float = 1, contrast: float = 1, saturation: float = 1) -> Tensor:
    return recolour(torch.tensor([[rgb]]), torch.tensor([[brightness, contrast, saturation, 0]]))[0, 0]


def test_brightness_scales_colours_and_cuts_them_off() -> None:
    torch.testing.assert_close(recolour_one([[0.2, 0.4, 0.9]], brightness=1.5), torch.tensor([[0.3, 0.6, 1.0]]))


def test_contrast_stretches_from_the_mean_grey() -> None:
    colours = [[0.2, 0.2, 0.2], [0.4, 0.4, 0.4], [0.6, 0.6, 0.6]]
    stretched = recolour_one(colours, contrast=1.5)
    torch.testing.assert_close(stretched, torch.tensor([[0.1] * 3, [0.4] * 3, [0.7] * 3]))


def test_no_saturation_leaves_the_grey_of_the_colour() -> None:
    grey = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8
    torch.testing.assert_close(recolour_one([[0.2, 0.4, 0.8]], saturation=0), torch.tensor([[grey] * 3]))


def test_a_third_of_a_turn_makes_red_green_green_blue_and_blue_red() -> None:
    turn = turn_hue(torch.tensor([1 / 3]))[0]
    torch.testing.assert_close(turn @ torch.eye(3), torch.eye(3).roll(1, 0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("turns", [-0.1, 0.05, 0.1])
def test_hue_turns_as_on_the_colour_circle(turns: float) -> None:
    """In the middle of the circle's range, where HSV and the rotation are close, they turn the same way and as far."""
    colour = (0.6, 0.45, 0.45)
    turned = turn_hue(torch.tensor([turns], dtype=torch.float64))[0].numpy() @ np.array(colour)
    moved = (colorsys.rgb_to_hsv(*turned)[0] - colorsys.rgb_to_hsv(*colour)[0] + 0.5) % 1 - 0.5
    assert abs(moved - turns) < 0.02


def test_grey_has_no_hue() -> None:
    grey = torch.full((2, 1, 5, 3), 0.4)
    torch.testing.assert_close(recolour(grey, torch.tensor([[1, 1, 1.1, 0.1]])), grey)


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"hue": 0.6}, {"contrast": -0.1}])
def test_impossible_settings_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AugmentConfig(**wrong)

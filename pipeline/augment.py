"""What makes more of the pairs there are: mirrored heads and other colours, the same for both pictures of a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gdpw.flip import flip_picture, flip_vertices
from pipeline.draws import Purpose, fractions, random_words
from pipeline.pairs import Pair, PairBatch

_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a colour (ITU-R BT.601)."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """flip: how often a pair is mirrored, 0 to 1. brightness, contrast, saturation: factors come from 1 minus to 1 plus
    this; hue: turns come from minus to plus this, 0.5 being half the circle. 0 leaves a property as it is.

    The defaults are the published ones. Source: GDPW (BMVC 2022), reference config.py and trainer.py.
    """

    flip: float = 0.5
    brightness: float = 0.1
    contrast: float = 0.1
    saturation: float = 0.1
    hue: float = 0.1

    def __post_init__(self) -> None:
        for name, most in (("flip", 1), ("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from 0 to {most}, got {getattr(self, name)}")


class Augment:
    """Batches as a loader gives them -> batches to train on, on whatever device they are.

    What happens to a pair follows from seed and pair number alone.
    """

    def __init__(self, config: AugmentConfig, seed: int, mirror: Tensor) -> None:
        """mirror: (V,) int64, `gdpw.flip.mirror_map` of the face model at rest."""
        self.config, self.seed, self.mirror = config, seed, mirror

    def __call__(self, batch: PairBatch) -> PairBatch:
        """Pictures become float32 in 0..1, still channels last. The batch given stays as it is."""
        device = batch.source.device
        flipped = self.flips(batch.pairs).to(device, non_blocking=True)[:, None, None]
        factors = self.colour_factors(batch.pairs).to(device, non_blocking=True)
        vertices = torch.stack([batch.source_vertices, batch.driving_vertices])
        vertices = torch.where(flipped, flip_vertices(vertices, self.mirror.to(device)), vertices)
        pictures = torch.stack([batch.source, batch.driving])  # (2, B, 3, S, S)
        pictures = torch.where(flipped[..., None], flip_picture(pictures), pictures)
        pixels = pictures.movedim(2, 4).float() / 255
        recoloured = recolour(pixels.flatten(2, 3), factors).view_as(pixels).movedim(4, 2)
        return PairBatch(batch.step, batch.pairs, *recoloured, *vertices)

    def flips(self, pairs: list[Pair]) -> Tensor:
        """Which of them are mirrored, (B,) bool."""
        words = random_words(self.seed, Purpose.FLIPS, pairs[0].number, len(pairs))
        return torch.from_numpy(fractions(words[:, 0]) < self.config.flip)

    def colour_factors(self, pairs: list[Pair]) -> Tensor:
        """What `recolour` is to do with each of them, (B, 4) float32."""
        words = random_words(self.seed, Purpose.COLOURS, pairs[0].number, len(pairs))
        config = self.config
        reach = np.array([config.brightness, config.contrast, config.saturation, config.hue])
        factors = [1, 1, 1, 0] + reach * (2 * fractions(words) - 1)
        return torch.from_numpy(factors.astype(np.float32))


def recolour(
    pixels: Tensor,  # (N, B, P, 3) RGB in 0..1, the pixels of N pictures that stay alike
    factors: Tensor,  # (B, 4) brightness, contrast, saturation, and hue in turns
) -> Tensor:  # (N, B, P, 3), cut to 0..1
    """One affine map of colours for the N pictures of an item.

    Brightness scales colours; contrast stretches them from the pictures' mean grey; saturation from each pixel's own
    grey; hue turns them about the grey axis.
    Differs from the published jitter, torchvision's: the order of the four is fixed, hue turns in RGB and not in HSV,
    the mean is that of all N pictures and not of each, and colours are cut off once, at the end.
    """
    brightness, contrast, saturation = factors[:, :3, None, None].unbind(1)
    grey = pixels.new_tensor(_GREY)
    saturate = saturation * torch.eye(3, device=pixels.device) + (1 - saturation) * grey
    turned = brightness * contrast * (turn_hue(factors[:, 3]) @ saturate)
    mean = brightness * (pixels.mean(dim=(0, 2)) @ grey)[:, None, None]
    return (pixels @ turned.mT + (1 - contrast) * mean).clamp(0, 1)  # saturation and hue leave the mean's grey alone


def turn_hue(turns: Tensor) -> Tensor:
    """Rotations of RGB about the axis of the greys, (B,) turns -> (B, 3, 3). A third of a turn makes red green."""
    cos, sin = (2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()
    same = (1 + 2 * cos) / 3
    following = (1 - cos) / 3 + sin / math.sqrt(3)
    preceding = (1 - cos) / 3 - sin / math.sqrt(3)
    rows = [(same, preceding, following), (following, same, preceding), (preceding, following, same)]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

"""The multi-scale patch discriminator; needed for training only."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from gdpw.antialias import ReleasedKernel, downsample
from gdpw.blocks import DownBlock
from gdpw.config import DiscriminatorConfig


class Verdict(NamedTuple):
    """features: outputs of the blocks, shallow to deep, each (B, C, h, w). logits: (B, 1, h, w), high means real."""

    features: list[Tensor]
    logits: Tensor


class Discriminator(nn.Module):
    """Judges (B, 3, H, W) pictures patch by patch. For 256x256 the logits are 17x17."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        channels = [3, *map(config.width, range(config.blocks))]
        self.layers = nn.ModuleList(
            DownBlock(before, after, kernel_size=4, padding=2) for before, after in pairwise(channels)
        )
        self.out_convs = nn.ModuleList([nn.Conv2d(channels[-1], 1, 4, padding=2)])

    def forward(self, picture: Tensor) -> Verdict:
        features, x = [], picture
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return Verdict(features, self.out_convs[0](x))


class MultiScaleDiscriminator(nn.Module):
    """One discriminator a scale.

    Source: GDPW (BMVC 2022), parity README section 6. `downs` is part of the released state dicts only.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.discs = nn.ModuleDict({f"x{scale}": Discriminator(config) for scale in config.scales})
        self.downs = nn.ModuleDict({f"x{scale}": ReleasedKernel(3, scale) for scale in config.scales})

    def judge(self, picture: Tensor, scale: int) -> Verdict:
        """The verdict of the discriminator of `scale` on a picture that has this scale already."""
        return self.discs[f"x{scale}"](picture)

    def forward(self, picture: Tensor) -> list[Verdict]:
        """The verdicts of all discriminators on a full-size picture, in the order of the scales."""
        scales = self.config.scales
        return [self.judge(x, scale) for scale, x in zip(scales, downsample(picture, scales), strict=True)]

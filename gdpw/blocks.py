"""The building blocks of generator and discriminator. Attribute names are those of the released state dicts."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gdpw.norm import BatchNorm2d
from gdpw.spectral import SpectralConv2d

SLOPE = 0.1
"""Of every leaky ReLU."""


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU in place."""
    return F.leaky_relu_(x, SLOPE)


class SameBlock(nn.Module):
    """Convolution, batch norm, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, padding: int = 1) -> None:
        super().__init__()
        self.conv = SpectralConv2d(in_channels, out_channels, kernel_size, padding=padding)
        self.norm = BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return activation(self.norm(self.conv(x)))


class DownBlock(SameBlock):
    """The same, then half the size by 2x2 averages; an odd row or column at the end is dropped."""

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(super().forward(x), 2)


class UpBlock(SameBlock):
    """The same after doubling the size by repeating pixels."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class Spade(nn.Module):
    """Batch norm whose scale and shift are pictures, computed from a modulation input of the same size.

    x: (B, C, H, W); modulation: (B, M, H, W). Returns normalised x * (1 + gamma) + beta.
    Source: spatially-adaptive normalisation (Park et al., CVPR 2019) as GDPW uses it.
    """

    def __init__(self, channels: int, modulation_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels, affine=False)
        self.shared_conv = nn.Sequential(
            SpectralConv2d(modulation_channels, hidden_channels, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)
        )
        self.gamma_conv = SpectralConv2d(hidden_channels, channels, 3, padding=1)
        self.beta_conv = SpectralConv2d(hidden_channels, channels, 3, padding=1)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        hidden = self.shared_conv(modulation)
        return self.norm(x) * (1 + self.gamma_conv(hidden)) + self.beta_conv(hidden)


class SpadeResBlock(nn.Module):
    """Residual block of two SPADE layers and convolutions, (B, in, H, W) -> (B, out, H, W)."""

    non_identity_shortcut: nn.Module | None

    def __init__(self, in_channels: int, out_channels: int, modulation_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.non_identity_shortcut = None
        if in_channels != out_channels:
            self.non_identity_shortcut = SpectralConv2d(in_channels, out_channels, 1)
        self.spade1 = Spade(in_channels, modulation_channels, hidden_channels)
        self.conv1 = SpectralConv2d(in_channels, out_channels, 3, padding=1)
        self.spade2 = Spade(out_channels, modulation_channels, hidden_channels)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        out = self.conv1(activation(self.spade1(x, modulation)))
        out = self.conv2(activation(self.spade2(out, modulation)))
        return out + (x if self.non_identity_shortcut is None else self.non_identity_shortcut(x))

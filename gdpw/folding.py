"""The same generator for evaluation only, with everything that is constant then folded into fewer convolutions.

Spectral norm and batch norm become part of the weights, a SPADE layer two convolutions and one multiply-add, doubling
the size before a convolution part of that convolution. Exact but for rounding.
"""

from __future__ import annotations

import copy
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from gdpw.blocks import SLOPE, DownBlock, SameBlock, Spade, UpBlock, activation
from gdpw.generator import Generator
from gdpw.spectral import SpectralConv2d


@torch.no_grad()
def fold(generator: Generator, *, transposed: bool) -> Generator:
    """A folded copy in evaluation mode. It has the interface of a generator, but neither its state dict nor training.

    transposed: fold the doubling of size too; saves a tenth of the products, if the device is good at it.
    """
    folded = copy.deepcopy(generator).eval()
    _fold_children(folded, transposed)
    return folded.requires_grad_(False)


class FoldedSpade(nn.Module):
    """SPADE with running statistics: x * scale + shift, both pictures out of one convolution of the modulation."""

    def __init__(self, spade: Spade) -> None:
        super().__init__()
        gamma, beta = _Filter.of(spade.gamma_conv), _Filter.of(spade.beta_conv)
        gain = _Filter(gamma.weight, 1 + gamma.bias)
        factor, offset = _statistics(spade.norm)
        scale, shift = gain.times(factor), gain.times(offset)
        shift = _Filter(shift.weight + beta.weight, shift.bias + beta.bias)
        self.hidden = _Filter.of(spade.shared_conv[0]).conv()
        self.scale_and_shift = _Filter(*map(torch.cat, zip(scale, shift, strict=True))).conv()

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        scale, shift = self.scale_and_shift(activation(self.hidden(modulation))).chunk(2, dim=1)
        return torch.addcmul(shift, x, scale)


class _Filter(NamedTuple):
    """Weight (out, in, k, k) and bias (out,) of a convolution that keeps the size."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, module: nn.Module) -> _Filter:
        spectral = cast(SpectralConv2d, module)
        return cls(spectral.normalized_weight(), cast(Tensor, spectral.bias))

    def times(self, factor: Tensor) -> _Filter:
        """The output multiplied by a factor a channel, (out,)."""
        return _Filter(self.weight * factor[:, None, None, None], self.bias * factor)

    def conv(self) -> nn.Conv2d:
        out_channels, in_channels, size, _ = self.weight.shape
        conv = nn.Conv2d(in_channels, out_channels, size, padding=size // 2, device="meta")
        conv.weight, conv.bias = nn.Parameter(self.weight), nn.Parameter(self.bias)
        return conv

    def conv_after_doubling(self) -> nn.ConvTranspose2d:
        """Doubling by repetition, then this 3x3 convolution, in one: 4 products instead of 9.

        An output pixel meets only 2x2 different inputs, so the weights that meet the same one are added up beforehand.
        """
        out_channels, in_channels, _, _ = self.weight.shape
        spread = self.weight.new_tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
        weight = torch.einsum("ki,lj,ocij->cokl", spread, spread, self.weight)
        conv = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, device="meta")
        conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(self.bias)
        return conv


def _fold_children(module: nn.Module, transposed: bool) -> None:
    for name, child in module.named_children():
        if isinstance(child, Spade):
            setattr(module, name, FoldedSpade(child))
        elif isinstance(child, SameBlock):
            setattr(module, name, _fold_block(child, transposed))
        elif isinstance(child, SpectralConv2d):
            setattr(module, name, _Filter.of(child).conv())
        else:
            _fold_children(child, transposed)


def _fold_block(block: SameBlock, transposed: bool) -> nn.Sequential:
    factor, offset = _statistics(block.norm)
    scaled = _Filter.of(block.conv).times(factor)
    folded = _Filter(scaled.weight, scaled.bias + offset)
    layers: list[nn.Module] = []
    if isinstance(block, UpBlock) and transposed:
        layers += [folded.conv_after_doubling()]
    else:
        layers += [nn.Upsample(scale_factor=2), folded.conv()] if isinstance(block, UpBlock) else [folded.conv()]
    layers += [nn.LeakyReLU(SLOPE, inplace=True)]
    layers += [nn.AvgPool2d(2)] if isinstance(block, DownBlock) else []
    return nn.Sequential(*layers)


def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Batch norm in evaluation mode as a factor and an offset a channel."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    factor = torch.rsqrt(variance + norm.eps)
    if norm.affine:
        return factor * norm.weight, norm.bias - mean * factor * norm.weight
    return factor, -mean * factor

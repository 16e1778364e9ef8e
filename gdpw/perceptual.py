"""Frozen features of pictures, the measure of the perceptual losses."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdpw.errors import CheckpointError
from gdpw.torch_file import check_state, read_torch_file

PerceptualName = Literal["vgg19", "vgg16-st", "none"]
"""What the perceptual terms are measured with."""


class BlurPool(nn.Module):
    """Blur by [1, 2, 1] / 4 each way after reflecting two pixels, then every second pixel."""

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (2, 2, 2, 2), mode="reflect")
        rows = (padded[..., :-2:2, :] + 2 * padded[..., 1:-1:2, :] + padded[..., 2::2, :]) / 4
        return (rows[..., :-2:2] + 2 * rows[..., 1:-1:2] + rows[..., 2::2]) / 4


class PerceptualNetwork(nn.Module):
    """Convolutions of a classifier of ImageNet: (B, 3, H, W) in 0..1 -> up to five features, fine to coarse.

    A picture too small for the network's next pool has no features beyond it.
    `features` may have half precision; pictures are normalised before.
    """

    name: ClassVar[PerceptualName]
    widths: ClassVar[tuple[int, ...]]
    """Channels of the convolutions, each followed by a ReLU; 0 is a pool."""
    taps: ClassVar[tuple[int, ...]]
    """Layers whose outputs are the features."""
    least: ClassVar[int]
    """The shortest side that a pool takes."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in self.widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)] if width else self.pool()
            channels = width or channels
        self.features = nn.Sequential(*layers[: self.taps[-1] + 1])
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)
        self.requires_grad_(False)

    @staticmethod
    def pool() -> list[nn.Module]:
        """The layers that halve a feature."""
        raise NotImplementedError

    def forward(self, picture: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        x = ((picture - self.mean) / self.deviation).to(next(self.features.parameters()).dtype)
        for number, layer in enumerate(self.features):
            if isinstance(layer, nn.MaxPool2d) and min(x.shape[-2:]) < self.least:
                break
            x = layer(x)
            if number in self.taps:
                features.append(x)
        return features


class Vgg19(PerceptualNetwork):
    """VGG-19, the published choice: relu1_1, relu2_1, relu3_1, relu4_1, relu5_1.

    State: `features.{n}.weight` and `.bias` as in torchvision's published `vgg19-dcbb9e9d.pth`.
    Source: parity README, section 8.
    """

    name = "vgg19"
    widths = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
    taps = (1, 6, 11, 20, 29)
    least = 2

    @staticmethod
    def pool() -> list[nn.Module]:
        return [nn.MaxPool2d(2)]

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """From the published file, whose classifier and last layers are not needed. Raises CheckpointError."""
        network, published = cls(), _read_state(path)
        state = {key: value for key, value in published.items() if key in network.state_dict()}
        check_state(network, state, str(path))
        network.load_state_dict(state)
        return network


class Vgg16ShiftTolerant(PerceptualNetwork):
    """VGG-16 whose pools blur before they halve: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.

    Not the published features and not their numbers, but weights that come in a wheel: `stlpips-pytorch`'s
    `vgg_shift_tolerant.pth`. Source: shift-tolerant LPIPS (Ghildyal and Liu, ECCV 2022).
    """

    name = "vgg16-st"
    widths = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
    taps = (3, 9, 17, 25, 33)
    least = 4

    @staticmethod
    def pool() -> list[nn.Module]:
        return [nn.MaxPool2d(2, stride=1), BlurPool()]

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """From the wheel's file, whose LPIPS heads and blur kernels are not needed. Raises CheckpointError."""
        network = cls()
        convolutions = {
            f"features.{key.split('.', 2)[2]}": value  # net.slice2.6.weight
            for key, value in _read_state(path).items()
            if key.startswith("net.slice") and not key.endswith(".filt")
        }
        check_state(network, convolutions, str(path))
        network.load_state_dict(convolutions)
        return network


def _read_state(path: Path | str) -> dict[str, Tensor]:
    state = read_torch_file(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: not a file of weights by name")
    return state

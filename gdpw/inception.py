"""The Inception network by whose features FID is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gdpw.lpips import read_weights
from gdpw.torch_file import check_state

FEATURES = 2048
SIDE = 299
"""Pixels a side that the network looks at."""


class _Step(NamedTuple):
    """A convolution of a branch. fork: two of them side by side, of three columns and of three rows."""

    channels: int
    kernel: tuple[int, int] = (1, 1)
    fork: bool = False


def _square(channels: int, side: int) -> _Step:
    return _Step(channels, (side, side))


class _Convolution(nn.Module):
    def __init__(self, given: int, channels: int, kernel: tuple[int, int], stride: int = 1, *, pad: bool = True):
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if pad else 0
        self.conv = nn.Conv2d(given, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Branches side by side, and a pooled one. halve: their last steps, and the pool, halve the picture.

    pooled: channels of the pooled branch, which where it halves has no convolution.
    """

    def __init__(
        self,
        given: int,
        branches: Mapping[str, Sequence[_Step]],
        pooled: int = 0,
        *,
        halve: bool = False,
        pool: Literal["mean", "max"] = "mean",
    ) -> None:
        super().__init__()
        self.pool = pool
        self.chains: list[list[list[str]]] = []
        for branch, steps in branches.items():
            chain, channels = [], given
            for number, step in enumerate(steps, start=1):
                name = f"{branch}_{number}" if len(steps) > 1 else branch
                last = halve and number == len(steps)
                layers = {f"{name}a": (1, 3), f"{name}b": (3, 1)} if step.fork else {name: step.kernel}
                for layer, kernel in layers.items():
                    convolution = _Convolution(channels, step.channels, kernel, 2 if last else 1, pad=not last)
                    self.add_module(layer, convolution)
                chain.append(list(layers))
                channels = step.channels
            self.chains.append(chain)
        self.branch_pool = _Convolution(given, pooled, (1, 1)) if pooled else None

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*(self._follow(chain, x) for chain in self.chains), self._pooled(x)], dim=1)

    def _follow(self, chain: list[list[str]], x: Tensor) -> Tensor:
        for layers in chain:
            x = torch.cat([self.get_submodule(layer)(x) for layer in layers], dim=1)
        return x

    def _pooled(self, x: Tensor) -> Tensor:
        if self.branch_pool is None:
            return F.max_pool2d(x, 3, 2)
        if self.pool == "max":
            return self.branch_pool(F.max_pool2d(x, 3, 1, padding=1))
        return self.branch_pool(F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False))


def _fine(given: int, pooled: int) -> _Mixed:
    branches = {
        "branch1x1": [_Step(64)],
        "branch5x5": [_Step(48), _square(64, 5)],
        "branch3x3dbl": [_Step(64), _square(96, 3), _square(96, 3)],
    }
    return _Mixed(given, branches, pooled)


def _middle(narrow: int) -> _Mixed:
    row, column = (1, 7), (7, 1)
    branches = {
        "branch1x1": [_Step(192)],
        "branch7x7": [_Step(narrow), _Step(narrow, row), _Step(192, column)],
        "branch7x7dbl": [_Step(narrow), *[_Step(narrow, side) for side in (column, row, column)], _Step(192, row)],
    }
    return _Mixed(768, branches, 192)


def _coarse(given: int, pool: Literal["mean", "max"]) -> _Mixed:
    branches = {
        "branch1x1": [_Step(320)],
        "branch3x3": [_Step(384), _Step(384, fork=True)],
        "branch3x3dbl": [_Step(448), _square(384, 3), _Step(384, fork=True)],
    }
    return _Mixed(given, branches, 192, pool=pool)


class Inception(nn.Module):
    """Inception v3 as TensorFlow's FID has it, up to its 2048 features.

    State: as in torchvision's `inception_v3`, without its classifiers. It differs from torchvision's network in its
    weights, in mean pools that leave padding out, and in a last pool that takes the largest.
    Source: Szegedy et al., Rethinking the Inception architecture (2016); Heusel et al. (2017) for the features of FID.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, (3, 3), 2, pad=False)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, (3, 3), pad=False)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = _Convolution(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = _Convolution(80, 192, (3, 3), pad=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _fine(192, 32), _fine(256, 64), _fine(288, 64)
        doubled = [_Step(64), _square(96, 3), _square(96, 3)]
        self.Mixed_6a = _Mixed(288, {"branch3x3": [_square(384, 3)], "branch3x3dbl": doubled}, halve=True)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (_middle(n) for n in (128, 160, 160, 192))
        crossed = [_Step(192), _Step(192, (1, 7)), _Step(192, (7, 1)), _square(192, 3)]
        halved = {"branch3x3": [_Step(192), _square(320, 3)], "branch7x7x3": crossed}
        self.Mixed_7a = _Mixed(768, halved, halve=True)
        self.Mixed_7b, self.Mixed_7c = _coarse(1280, "mean"), _coarse(2048, "max")
        self.requires_grad_(False).eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in 0..1 -> (B, 2048). Pictures are brought to 299 x 299 bilinearly, as pytorch-fid does."""
        x = 2 * F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", align_corners=False) - 1
        for name, layer in self.named_children():
            x = layer(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = F.max_pool2d(x, 3, 2)
        return x.mean((2, 3))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """From the published `pt_inception-2015-12-05-6726825d.pth`. Raises CheckpointError."""
        network = cls()
        unused = ("fc.", "AuxLogits.")
        state = {
            key: value
            for key, value in read_weights(path).items()
            if not key.startswith(unused) and not key.endswith(_COUNT)
        }
        counts = {key: value for key, value in network.state_dict().items() if key.endswith(_COUNT)}
        check_state(network, state | counts, str(path))
        network.load_state_dict(state | counts)
        return network


_COUNT = ".num_batches_tracked"
"""What batch norm counts while it trains; the file was written without."""

"""LPIPS: how different two pictures look, by features of a classifier of ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from gdpw.errors import CheckpointError
from gdpw.torch_file import check_state, read_torch_file

CHANNELS = (64, 192, 384, 256, 256)
"""Of the features of AlexNet, fine to coarse."""
LEAST = 32
"""Pixels a side that the networks need."""


class PerceptualDistance(nn.Module):
    """Squared differences between features of unit length, weighted by channel, means over places, summed over levels.

    State: `features.{n}.weight` and `.bias`, `heads.{k}` (1, C, 1, 1).
    Source: Zhang et al., The unreasonable effectiveness of deep features as a perceptual metric (CVPR 2018).
    """

    taps: ClassVar[tuple[int, ...]]
    """Layers whose outputs are the features."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*self.layers())
        self.heads = nn.ParameterList([torch.zeros(1, count, 1, 1) for count in CHANNELS])
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None], persistent=False)
        self.requires_grad_(False)

    @staticmethod
    def layers() -> list[nn.Module]:
        """The convolutions and what is between them."""
        raise NotImplementedError

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Two batches (B, 3, H, W) in 0..1 -> (B,), 0 for equal pictures, larger for more different ones.

        Raises ValueError for pictures smaller than `LEAST`.
        """
        if min(pictures.shape[-2:]) < LEAST:
            raise ValueError(f"LPIPS needs {LEAST} x {LEAST} pixels, got {tuple(pictures.shape[-2:])}")
        pairs = zip(self.heads, self._directions(pictures), self._directions(others), strict=True)
        return torch.stack([(head * (a - b).square()).sum(1).mean((1, 2)) for head, a, b in pairs]).sum(0)

    def _directions(self, pictures: Tensor) -> list[Tensor]:
        """Features of unit length in each place, fine to coarse."""
        x, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taps:
                found.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
        return found

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor], name: str) -> Self:
        """name: of the file, for messages. Raises CheckpointError unless the state is that of this network."""
        network = cls()
        check_state(network, state, name)
        network.load_state_dict(dict(state))
        return network


class Lpips(PerceptualDistance):
    """LPIPS by AlexNet, version 0.1: the one that papers report unless they say otherwise."""

    taps = (1, 4, 7, 9, 11)

    @staticmethod
    def layers() -> list[nn.Module]:
        return [
            *(nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        ]

    @classmethod
    def load(cls, alexnet: Path | str, heads: Path | str) -> Self:
        """From the two published files: torchvision's AlexNet, whose classifier is not needed, and LPIPS's weights.

        Raises CheckpointError.
        """
        return cls.of_state({**read_convolutions(alexnet), **read_heads(heads)}, f"{alexnet} with {heads}")


def read_convolutions(path: Path | str) -> dict[str, Tensor]:
    """The part of the state of `Lpips` that torchvision's AlexNet has. Raises CheckpointError for another file."""
    convolutions = {key: value for key, value in read_weights(path).items() if key.startswith("features.")}
    return _part(convolutions, "features.", path)


def read_heads(path: Path | str) -> dict[str, Tensor]:
    """The part of the state of `Lpips` that is in LPIPS's own file. Raises CheckpointError for another file."""
    return _part({head_name(key) or key: value for key, value in read_weights(path).items()}, "heads.", path)


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """A file of tensors by name. Raises CheckpointError."""
    state = read_torch_file(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: not a file of weights by name")
    return state


def _part(state: dict[str, Tensor], prefix: str, path: Path | str) -> dict[str, Tensor]:
    """The state, if it is what `Lpips` has under the prefix."""
    others = {key: value for key, value in Lpips().state_dict().items() if not key.startswith(prefix)}
    check_state(Lpips(), {**others, **state}, str(path))
    return state


def head_name(key: str) -> str | None:
    """`lin0.model.1.weight` -> `heads.0`; None for what is no head."""
    return f"heads.{key.removeprefix('lin').partition('.')[0]}" if key.startswith("lin") else None

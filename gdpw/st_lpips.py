"""ST-LPIPS: how different two pictures look, by features of a classifier that bear small shifts.

Not LPIPS: its numbers are others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from gdpw.errors import CheckpointError
from gdpw.perceptual import BlurPool
from gdpw.torch_file import check_state, read_torch_file

_TAPS = (2, 6, 10, 12, 14)
_CHANNELS = (64, 192, 384, 256, 256)
LEAST = 32
"""Pixels a side that the network needs."""


class StLpips(nn.Module):
    """The distance by AlexNet whose pools blur before they halve, with learned weights for its channels.

    State: `features.{n}.weight` and `.bias`, `heads.{k}` (1, C, 1, 1).
    Source: Ghildyal and Liu, Shift-tolerant perceptual similarity metric (ECCV 2022).
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, padding=2), BlurPool(), nn.ReLU()),
            *(nn.MaxPool2d(3, stride=1), BlurPool(), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
            *(nn.MaxPool2d(3, stride=1), BlurPool(), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        )
        self.heads = nn.ParameterList([torch.zeros(1, count, 1, 1) for count in _CHANNELS])
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[:, None, None], persistent=False)
        self.requires_grad_(False)

    def forward(self, pictures: Tensor, others: Tensor) -> Tensor:
        """Two batches (B, 3, H, W) in 0..1 -> (B,), 0 for equal pictures, larger for more different ones.

        Raises ValueError for pictures smaller than `LEAST`.
        """
        if min(pictures.shape[-2:]) < LEAST:
            raise ValueError(f"ST-LPIPS needs {LEAST} x {LEAST} pixels, got {tuple(pictures.shape[-2:])}")
        pairs = zip(self.heads, self._directions(pictures), self._directions(others), strict=True)
        return torch.stack([(head * (a - b).square()).sum(1).mean((1, 2)) for head, a, b in pairs]).sum(0)

    def _directions(self, pictures: Tensor) -> list[Tensor]:
        """Features of unit length in each place, fine to coarse."""
        x, found = (2 * pictures - 1 - self.shift) / self.scale, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _TAPS:
                found.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
        return found

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """From the file `alex_shift_tolerant.pth` of the package `stlpips-pytorch`. Raises CheckpointError."""
        published = read_torch_file(path)
        if not isinstance(published, dict):
            raise CheckpointError(f"{path}: not a file of weights by name")
        state = {_our_name(key): value for key, value in published.items() if not key.endswith(_IMPLIED)}
        network = cls()
        check_state(network, state, str(path))
        network.load_state_dict(state)
        return network


_IMPLIED = (".filt", "scaling_layer.shift", "scaling_layer.scale")
"""Constants that the file repeats."""


def _our_name(key: str) -> str:
    """`net.slice2.5.weight` -> `features.5.weight`; `lin0.model.1.weight` -> `heads.0`."""
    if key.startswith("lin"):
        return f"heads.{key.removeprefix('lin').partition('.')[0]}"
    return f"features.{key.split('.', 2)[-1]}"

"""VGG-19 features, the measure of the perceptual losses."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from gdpw.torch_file import check_state, read_torch_file

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
"""VGG-19's sixteen convolutions, each followed by a ReLU; 0 is a 2x2 max pool. (The last pool is never needed.)"""

TAPS = (1, 6, 11, 20, 29)
"""Layers whose outputs are the features: relu1_1, relu2_1, relu3_1, relu4_1, relu5_1."""


class Vgg19(nn.Module):
    """Frozen VGG-19 up to relu5_1: (B, 3, H, W) in 0..1 -> five features, fine to coarse.

    State: `features.{n}.weight` and `.bias` as in torchvision's published `vgg19-dcbb9e9d.pth`.
    Pictures of less than 16 pixels run out in the fourth pool: the perceptual terms on warped pictures, which go down
    to stride 16, need 256.
    Source: parity README, section 8.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)] if width else [nn.MaxPool2d(2)]
            channels = width or channels
        self.features = nn.Sequential(*layers[: TAPS[-1] + 1])
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)
        self.requires_grad_(False)

    @classmethod
    def load(cls, path: Path | str) -> Vgg19:
        """From the published file, whose classifier and last layers are not needed. Raises CheckpointError."""
        network, published = cls(), read_torch_file(path)
        state = {key: value for key, value in published.items() if key in network.state_dict()}
        check_state(network, state, str(path))
        network.load_state_dict(state)
        return network

    def forward(self, picture: Tensor) -> list[Tensor]:
        features, x = [], (picture - self.mean) / self.deviation
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in TAPS:
                features.append(x)
        return features

"""ST-LPIPS: how different two pictures look, by features of a classifier that bear small shifts.

Not LPIPS: its numbers are others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from torch import nn

from gdpw.lpips import PerceptualDistance, head_name, read_weights
from gdpw.perceptual import BlurPool


class StLpips(PerceptualDistance):
    """The distance by AlexNet whose pools blur before they halve, with learned weights for its channels.

    Source: Ghildyal and Liu, Shift-tolerant perceptual similarity metric (ECCV 2022).
    """

    taps = (2, 6, 10, 12, 14)

    @staticmethod
    def layers() -> list[nn.Module]:
        return [
            *(nn.Conv2d(3, 64, 11, padding=2), BlurPool(), nn.ReLU()),
            *(nn.MaxPool2d(3, stride=1), BlurPool(), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
            *(nn.MaxPool2d(3, stride=1), BlurPool(), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        ]

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """From the file `alex_shift_tolerant.pth` of the package `stlpips-pytorch`. Raises CheckpointError."""
        published = {key: value for key, value in read_weights(path).items() if not key.endswith(_IMPLIED)}
        state = {head_name(key) or f"features.{key.split('.', 2)[-1]}": value for key, value in published.items()}
        return cls.of_state(state, str(path))


_IMPLIED = (".filt", "scaling_layer.shift", "scaling_layer.scale")
"""Constants that the file repeats."""

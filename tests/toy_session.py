"""A session that edits the head of twelve vertices, with a model that keeps the meshes it was asked for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from toy_flame import toy_model

from fit_deca.codes import CODE_SIZES, Codes
from fit_deca.flame import Flame
from pipeline.edit_session import DrawEdits, EditSession
from pipeline.render import Take, retarget
from pipeline.shards import FaceModelStamp

SIZE = 16
SCALE = 0.15
"""The camera's, as fitted."""
HEAD = FaceModelStamp.of(toy_model())
FLAME = Flame(toy_model())
RECOVER = torch.tensor([[SIZE / 2, 0, SIZE / 2], [0, SIZE / 2, SIZE / 2], [0, 0, 1]])


class RemembersMeshes:
    """A model that returns the source."""

    def encode(self, image: Tensor, vertices: Tensor) -> Tensor:
        self.source = vertices
        self.driving: list[Tensor] = []
        return image

    def animate(self, source: Tensor, driving: Tensor) -> Tensor:
        self.driving += driving
        return source.expand(len(driving), -1, -1, -1)


def toy_source() -> Take:
    """A neutral head on a picture of noise."""
    codes = Codes(*(torch.zeros(1, size) for size in CODE_SIZES.values()))
    codes.camera[:] = torch.tensor([SCALE, 0, -3])
    return Take(
        times=np.zeros(1),
        images=np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8),
        codes=codes,
        recover=RECOVER.double()[None].numpy(),
        vertices=retarget(FLAME, codes, codes, RECOVER[None]).numpy(),
    )


def toy_session(model: RemembersMeshes | None = None) -> EditSession:
    return EditSession(DrawEdits(toy_source(), FLAME, model or RemembersMeshes()), HEAD)

"""What a training step saw and made, as one picture for people."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gdpw.training import Batch, StepResult

COLUMNS = ("source", "driving", "warped", "output", "flow", "guidance")


@torch.no_grad()
def picture_grid(batch: Batch, result: StepResult, rows: int = 6) -> NDArray[np.uint8]:
    """A row a pair, a column for each of `COLUMNS`: (R * H, 6 * W, 3) uint8.

    The flow is that of the generator, the guidance that of the meshes or, without one, the embeddings' first three.
    """
    guidance = batch.guidance
    drawn = flow_colours(guidance.flow) if guidance.embedding is None else guidance.embedding[:, :3]
    output = result.output
    columns = [batch.source, batch.target, output.warped, output.image, flow_colours(output.flows[1]), drawn]
    grid = torch.cat([column[:rows].float().clamp(0, 1) for column in columns], dim=3)  # (R, 3, H, 6 W)
    pixels = (255 * grid).round().byte().permute(0, 2, 3, 1).flatten(0, 1)
    return pixels.cpu().numpy()


def flow_colours(flow: Tensor, full: float = 0.3) -> Tensor:
    """(B, 2, H, W) NDC -> (B, 3, H, W) in 0..1: the hue is the direction, the strength the length; grey is no motion.

    full: the length from which on colours do not grow stronger.
    """
    x, y = (flow / full).unbind(1)
    strength = torch.hypot(x, y)
    scale = 1 / strength.clamp(min=1)
    turns = [2 * math.pi * channel / 3 for channel in range(3)]
    return torch.stack([0.5 + 0.5 * scale * (x * math.cos(turn) + y * math.sin(turn)) for turn in turns], dim=1)

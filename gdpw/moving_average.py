"""A moving average of a network's weights, which makes better pictures than the weights of any one step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

RUNNING = ("running_mean", "running_var")
"""Buffers that are averaged like weights; all others are taken as they are."""


class MovingAverage:
    """The average of a network's states, as a state dict.

    decay: share of the old average that a step keeps; less in the first steps, (1 + n) / (10 + n).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"the decay of an average must lie between 0 and 1, got {decay}")
        self.decay = decay
        self.steps = 0
        self.state: dict[str, Tensor] = {key: value.detach().clone() for key, value in network.state_dict().items()}

    def load(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Go on from an average over so many steps."""
        for key, value in self.state.items():
            value.copy_(state[key])
        self.steps = steps

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards what the network is now."""
        now = {key: value.detach() for key, value in network.state_dict().items()}
        weights = {name for name, _ in network.named_parameters()}
        averaged = [key for key in now if key in weights or key.endswith(RUNNING)]
        copied = [key for key in now if key not in weights and not key.endswith(RUNNING)]
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_([self.state[key] for key in averaged], [now[key] for key in averaged], share)
        torch._foreach_copy_([self.state[key] for key in copied], [now[key] for key in copied])
        self.steps += 1

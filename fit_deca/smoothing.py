"""Codes that tremble, steadied: the One-Euro filter, which needs no later frames, and smoothing over a whole track.

The One-Euro filter is a causal low pass that steadies codes at rest and follows them where they move fast.
Source: Casiez, Roussel, Vogel, "1 € Filter", CHI 2012, with the settings of GDPW's demo (BMVC 2022); parity README
section 14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeVar

import torch
from scipy.linalg import solveh_banded
from torch import Tensor

Cutoff = TypeVar("Cutoff", float, Tensor)


@dataclass(frozen=True, kw_only=True)
class OneEuroConfig:
    """How strongly to smooth. Defaults are the demo's.

    min_cutoff: cutoff frequency at rest, cycles a step. beta: by how much it rises for a speed of one unit a step.
    derivative_cutoff: cutoff frequency of the speed itself, cycles a step.
    steps_per_second: None for one step a frame, whatever the time between frames, as in the demo; a number for real
    time. At 25, frames 1/25 s apart are smoothed as in the demo, frames farther apart less.
    Raises ValueError for a cutoff or rate that is not positive, or a negative beta.
    """

    min_cutoff: float = 0.5
    beta: float = 0.0
    derivative_cutoff: float = 1.0
    steps_per_second: float | None = None

    def __post_init__(self) -> None:
        for name in ("min_cutoff", "derivative_cutoff", "steps_per_second"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number, got {value}")
        if not 0 <= self.beta < math.inf:
            raise ValueError(f"beta must be zero or a positive number, got {self.beta}")


class _State(NamedTuple):
    """What the filter remembers of the last frame. clock: its time in steps."""

    clock: float
    value: Tensor
    speed: Tensor


class OneEuroFilter:
    """One sequence on its way through the filter, in chunks of any length; every channel by itself."""

    def __init__(self, config: OneEuroConfig) -> None:
        self.config = config
        self._last: _State | None = None

    def __call__(self, values: Tensor, times: Tensor | None = None) -> Tensor:
        """Smooth the next frames of the sequence.

        values: (T, ...), any channels. times: (T,) rising seconds; looked at only where `steps_per_second` is set.
        Returns (T, ...); the sequence's first frame stays as it is.
        Raises ValueError if times are needed but missing, of another number, or do not rise.
        """
        smoothed = torch.empty_like(values)
        for row, clock in enumerate(self._clocks(len(values), times)):
            self._last = self._next(clock, values[row])
            smoothed[row] = self._last.value
        return smoothed

    def _clocks(self, count: int, times: Tensor | None) -> list[float]:
        if self.config.steps_per_second is None:
            first = 0.0 if self._last is None else self._last.clock + 1
            return [first + row for row in range(count)]
        if times is None or times.shape != (count,):
            raise ValueError(f"smoothing in real time needs a time for each of the {count} frames")
        clocks = (times.double() * self.config.steps_per_second).tolist()
        before = -math.inf if self._last is None else self._last.clock
        if not all(a < b < math.inf for a, b in pairwise([before, *clocks])):
            raise ValueError("times must rise from frame to frame")
        return clocks

    def _next(self, clock: float, value: Tensor) -> _State:
        last = self._last
        if last is None:
            return _State(clock, value.clone(), torch.zeros_like(value))
        step = clock - last.clock
        speed = _mix(last.speed, (value - last.value) / step, _weight(self.config.derivative_cutoff, step))
        cutoff = self.config.min_cutoff + self.config.beta * speed.abs()
        return _State(clock, _mix(last.value, value, _weight(cutoff, step)), speed)


def _weight(cutoff: Cutoff, step: float) -> Cutoff:
    """How much of a new value a low pass of `cutoff` cycles a step lets through, `step` steps after the last."""
    turn = 2 * math.pi * step * cutoff
    return turn / (turn + 1)


def _mix(old: Tensor, new: Tensor, weight: float | Tensor) -> Tensor:
    return weight * new + (1 - weight) * old


_SHORTEST_STEP = 1e-3  # seconds; damaged streams have pictures of one time


def smooth_track(values: Tensor, times: Tensor, seconds: float) -> Tensor:
    """Smooth all frames of a track together, without delay.

    The result x minimises the sum of (x - values)² and of (seconds * speed of x)²: each frame becomes a mean of its
    neighbours, whose weights fall by a factor e every `seconds`.
    values: (T, C). times: (T,) seconds in order. seconds: 0 changes nothing. Returns (T, C).
    Source: Whittaker, On a New Method of Graduation (1923), with differences of the first order.
    """
    if len(values) < 2:
        return values.clone()
    ties = (seconds / times.double().diff().clamp(min=_SHORTEST_STEP)).square().cpu()
    bands = torch.zeros(2, len(values), dtype=torch.float64)
    bands[0, 1:] = -ties
    bands[1] = 1
    bands[1, 1:] += ties
    bands[1, :-1] += ties
    return torch.from_numpy(solveh_banded(bands.numpy(), values.double().cpu().numpy())).to(values)

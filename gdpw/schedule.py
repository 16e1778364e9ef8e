"""How fast the networks learn, step by step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Course = Literal["constant", "cosine"]


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """The rate of both optimisers as a function of the step. The default is the published one, constant.

    base: the rate after the warm-up. warmup: steps in which it rises in a straight line.
    course: what it does then: stay, or fall to zero along half a cosine at `steps`.
    """

    base: float = 2e-4
    course: Course = "constant"
    warmup: int = 0
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.course not in get_args(Course):
            raise ValueError(f"course must be one of {', '.join(get_args(Course))}, got {self.course!r}")
        if self.base <= 0 or self.warmup < 0:
            raise ValueError(f"base must be > 0 and warmup >= 0, got {self.base} and {self.warmup}")
        if self.course == "cosine" and (self.steps is None or self.steps <= self.warmup):
            raise ValueError(f"cosine needs more steps than the warm-up has, got {self.steps} and {self.warmup}")

    def at(self, step: int) -> float:
        """The rate of the update that step number `step`, from 0, makes."""
        if step < self.warmup:
            return self.base * (step + 1) / self.warmup
        if self.steps is None or self.course == "constant":
            return self.base
        progress = min(1.0, (step - self.warmup) / (self.steps - self.warmup))
        return self.base * (1 + math.cos(math.pi * progress)) / 2

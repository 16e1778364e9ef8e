"""How a network runs."""

from __future__ import annotations

from typing import Literal

Execution = Literal["eager", "compiled", "graphed"]
"""As written; compiled; compiled and replayed as CUDA graphs."""

COMPILE_MODES = {"compiled": "default", "graphed": "reduce-overhead"}
"""The mode of `torch.compile` for those that are compiled."""

"""The parity set: golden numbers, and the recipe that makes weights and pictures out of names.

`GDPW_PARITY` names another folder of the same form (default: tests/golden). See its README.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FOLDER = Path(os.environ.get("GDPW_PARITY", Path(__file__).parent / "golden"))


@cache
def read_json(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())


@cache
def read_npz(name: str) -> dict[str, NDArray[Any]]:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


PREFIX: str = read_json("set")["prefix"]
"""What every name of the set starts with, "a/" in the committed one."""


def bound(quantity: str, magnitude: float) -> float:
    """Largest difference allowed for `quantity`: 20 times its float32 noise, at least 1e-6 of its size."""
    return max(20 * read_json("tolerances")[quantity], 1e-6 * magnitude)


def assert_golden(actual: Any, expected: Any, quantity: str) -> None:
    """`actual` equals the golden array within the bound that `tolerances.json` gives for `quantity`."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    worst = np.abs(actual - expected).max()
    limit = bound(quantity, np.abs(expected).max())
    assert worst <= limit, f"{quantity}: off by {worst:.3g}, allowed {limit:.3g}"


def u01(name: str, shape: Sequence[int]) -> NDArray[np.float64]:
    """Uniform numbers in 0..1, a function of the name alone."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    raw = np.random.Philox(key=key).random_raw(math.prod(shape))
    return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)


def unit(name: str, shape: Sequence[int]) -> NDArray[np.float64]:
    """Uniform numbers with mean 0 and variance 1."""
    return (u01(name, shape) - 0.5) * math.sqrt(12.0)


def smooth(name: str, channels: int, height: int, width: int, lo: float = 0.0, hi: float = 1.0) -> NDArray[np.float32]:
    """A smooth (channels, height, width) test picture between `lo` and `hi`."""
    p = unit(name, (channels, 4, 4))[..., None, None]
    y = ((np.arange(height) + 0.5) / height)[:, None]
    x = ((np.arange(width) + 0.5) / width)[None]
    s = (p[:, :, 0] * np.sin(2 * np.pi * (2 * p[:, :, 1] * x + 2 * p[:, :, 2] * y) + 3 * p[:, :, 3])).sum(1)
    return (lo + (hi - lo) * (0.5 + 0.5 * np.tanh(s))).astype(np.float32)


def _entry(prefix: str, key: str, shape: Sequence[int]) -> NDArray[np.float64]:
    name, last = f"{prefix}/{key}", key.rsplit(".", 1)[-1]
    if last == "embeds":
        return u01(name, shape)
    if last in ("running_mean", "bias"):
        return 0.1 * unit(name, shape)
    if last == "running_var":
        scale = 4.0 if ".spade" in key else 1.0 if key.startswith("encoder.") else 0.1
        return scale * (1 + 3 * u01(name, shape))
    if last == "weight_u":
        u = unit(name, shape)
        return u / np.linalg.norm(u)
    if len(shape) == 1:
        return 1 + 0.2 * unit(name, shape)
    gain = 0.25 if key.endswith(("_flow.weight", "_out.weight")) else 1.0
    return gain * math.sqrt(2 / math.prod(shape[1:])) * unit(name, shape)


def recipe_state(prefix: str, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the keys and shapes of `like` and the recipe's numbers (parity README, section 1).

    Entries that are not random (`tri`, the blur kernels) are taken over from `like`.
    """
    state: dict[str, Tensor] = {}
    for key, value in like.items():
        last, shape = key.rsplit(".", 1)[-1], tuple(value.shape)
        if last == "num_batches_tracked":
            state[key] = torch.zeros_like(value)
        elif last == "tri" or key.startswith(("downsamples.", "downs.")):
            state[key] = value.clone()
        elif last != "weight_v":
            state[key] = torch.from_numpy(_entry(prefix, key, shape).astype(np.float32))
    for key in like:
        if key.endswith("weight_v"):
            weight = state[key.removesuffix("_v") + "_orig"].double().flatten(1)
            v = weight.T @ state[key.removesuffix("_v") + "_u"].double()
            state[key] = (v / v.norm()).float()
    return {key: state[key] for key in like}

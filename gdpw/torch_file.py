"""Reading tensors out of `.pth` files without running them, and matching them with a network."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gdpw.errors import CheckpointError

_DAMAGED = (
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, MemoryError, pickle.UnpicklingError, struct.error),
)
"""What torch's reader raises on files that are cut short, overwritten, of another kind, or hold other than weights."""


def read_torch_file(path: Path | str) -> Any:
    """What `torch.save` wrote: tensors and plain containers only, on the CPU. Raises CheckpointError."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of files that are then refused, torch warns in its own words
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except _DAMAGED as error:
        reason = str(error).rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0][:120]
        if "GLOBAL" in str(error):  # torch advises to trust the file
            reason = "it names functions to be called"
        reason = reason or type(error).__name__
        raise CheckpointError(f"{path}: not a file of weights, or damaged ({reason}); fetch it again") from error


def check_state(
    network: nn.Module,
    state: Mapping[str, Tensor],
    name: str,
    *,
    optional: tuple[str, ...] = (),
    undefined: tuple[str, ...] = (),
) -> None:
    """Raise CheckpointError unless `state` has the entries of `network`, of its shapes and types, all finite.

    network: may live on the meta device. name: of the file, for the message.
    optional: prefixes of keys that may be missing. undefined: keys that may hold NaN.
    """
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state and not key.startswith(optional)]
    if missing:
        raise CheckpointError(f"{name}: lacks {len(missing)} entries, the first is {missing[0]}")
    unexpected = [key for key in state if key not in wanted]
    if unexpected:
        raise CheckpointError(f"{name}: has {len(unexpected)} entries too many, the first is {unexpected[0]}")
    for key, value in state.items():
        if value.shape != wanted[key].shape or value.dtype != wanted[key].dtype:
            expected = f"{tuple(wanted[key].shape)} {wanted[key].dtype}"
            raise CheckpointError(f"{name}: {key} is {tuple(value.shape)} {value.dtype}, expected {expected}")
        if key not in undefined and not value.isfinite().all():
            raise CheckpointError(f"{name}: {key} has values that are not finite; the training that wrote it diverged")

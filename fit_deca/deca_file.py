"""DECA's published model file, read strictly and without running anything in it.

`deca_model.tar` is no archive but one `torch.save` file, in the zip or the older form: a dict of state dicts, of which
only the coarse encoder's, `E_flame`, is needed here. `E_detail`, `D_detail`, and what training adds, may be there.
"""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fit_deca.encoder import Encoder
from fit_deca.errors import FaceModelError

ENTRY = "E_flame"

_EXPECTED = f"deca_model.tar, DECA's trained model as published, with the coarse encoder under {ENTRY}"
_ORIGIN = "https://github.com/YadiraF/DECA (README: DECA trained model)"

_DAMAGED = (
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    *(ArithmeticError, MemoryError, pickle.UnpicklingError, struct.error),
)
"""What torch's reader raises on files that are cut short, overwritten, of another kind, or hold other than weights."""


def load_encoder(path: str | Path) -> Encoder:
    """DECA's coarse encoder from `deca_model.tar`, in float32 on the CPU, in eval mode.

    Every weight must be there, of the right shape and finite, and none may be left over; only counts of batches seen in
    training (`num_batches_tracked`), which older files lack, may be missing.
    Raises FaceModelError, one line, where the file is missing, damaged or another one.
    """
    path = Path(path)
    content = _read(path)
    given = content.get(ENTRY) if isinstance(content, Mapping) else None
    if not isinstance(given, Mapping):
        raise _unusable(path, f"holds no state dict {ENTRY}")
    with torch.device("meta"):
        encoder = Encoder()
    encoder.load_state_dict(_checked(path, given, encoder.state_dict()), assign=True)
    return encoder.eval().requires_grad_(False)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise _unusable(path, "no such file")
    try:
        with warnings.catch_warnings(action="ignore"):  # of files that are then refused, torch warns in its own words
            return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        raise _unusable(path, "truncated, damaged, or no file of weights") from error


def _checked(path: Path, given: Mapping[Any, Any], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if unknown := [key for key in given if key not in wanted]:
        raise _unusable(path, f"{ENTRY} has {len(unknown)} unknown entries, {str(unknown[0])[:80]!r} the first")
    state = {}
    for key, like in wanted.items():
        if key not in given and key.endswith(".num_batches_tracked"):
            state[key] = torch.zeros((), dtype=like.dtype)
            continue
        if key not in given:
            raise _unusable(path, f"{ENTRY} lacks {key}")
        value = given[key]
        if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_meta:
            raise _unusable(path, f"{ENTRY}: {key} is no plain tensor")
        if value.is_floating_point() != like.is_floating_point():
            raise _unusable(path, f"{ENTRY}: {key} is {value.dtype} instead of {like.dtype}")
        if value.shape != like.shape:
            raise _unusable(path, f"{ENTRY}: {key} has shape {tuple(value.shape)} instead of {tuple(like.shape)}")
        if not value.isfinite().all():
            raise _unusable(path, f"{ENTRY}: {key} has values that are not finite")
        state[key] = value.to(like.dtype).contiguous()
    return state


def _unusable(path: Path, fault: str) -> FaceModelError:
    return FaceModelError(f"{path}: {fault}; expected {_EXPECTED}; get it from {_ORIGIN}")

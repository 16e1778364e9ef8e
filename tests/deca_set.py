"""DECA's model file in its published form (parity README, section 3), with the recipe's weights in it."""

from __future__ import annotations

from typing import Any

import torch
from golden_set import PREFIX, read_json, recipe_state
from torch import Tensor


def golden_form(model: str) -> dict[str, Tensor]:
    """A state dict of zeros with the published keys, shapes and types of `model`, in order; it takes no memory."""
    columns = read_json("state_dicts")["columns"]
    rows = (dict(zip(columns, row, strict=True)) for row in read_json("state_dicts")[model]["state"])
    return {row["key"]: torch.zeros((), dtype=getattr(torch, row["dtype"])).expand(row["shape"]) for row in rows}


def published_deca() -> dict[str, Any]:
    """What `deca_model.tar` holds. The two entries that nobody here reads are zeros of the right form."""
    detail = golden_form("E_flame")
    for key, shape, dtype, _ in read_json("state_dicts")["E_detail"]["differs_from_E_flame"]:
        detail[key] = torch.zeros((), dtype=getattr(torch, dtype)).expand(shape)
    return {
        "E_flame": recipe_state(f"{PREFIX}E_flame", golden_form("E_flame")),
        "E_detail": detail,
        "D_detail": golden_form("D_detail"),
    }

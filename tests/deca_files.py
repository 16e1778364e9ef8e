"""FLAME's and DECA's files in their published form, with numbers that put a plausible head on the face.

The stand-in head with the recipe's basis (`flame_set`), and the recipe's encoder, with outputs as large as real codes.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from deca_set import published_deca
from flame_set import standin_flame

from fit_deca.encoder import PARAMETER_SIZES

_TYPICAL = {"shape": 0.5, "texture": 0.5, "expression": 0.5, "pose": 0.05, "camera": 0.01, "light": 0.3}
_CAMERA = (7.0, 0.0, 0.02)


class DecaFiles(NamedTuple):
    """Where the three files are."""

    deca_model: Path
    face_model: Path
    landmark_embedding: Path


def write_deca_files(folder: Path) -> DecaFiles:
    """deca_model.tar, generic_model.pkl and landmark_embedding.npy."""
    folder.mkdir(parents=True, exist_ok=True)
    files = DecaFiles(*(folder / name for name in ("deca_model.tar", "generic_model.pkl", "landmark_embedding.npy")))
    content = published_deca()
    content["E_flame"] = content["E_flame"] | _calmed(content["E_flame"])
    torch.save(content, files.deca_model)
    flame = standin_flame()
    files.face_model.write_bytes(pickle.dumps({name: flame[name] for name in flame if "lmk" not in name}, 2))
    tables: dict[str, Any] = {name: flame[name] for name in flame if "lmk" in name}
    tables |= {name: torch.from_numpy(table) for name, table in tables.items() if name.startswith("dynamic")}
    np.save(files.landmark_embedding, np.array(tables, dtype=object), allow_pickle=True)
    return files


def _calmed(state: dict[str, Any]) -> dict[str, Any]:
    """The last layer, so that outputs, of about 1 as the recipe has them, become typical codes."""
    scales = torch.cat([torch.full((size,), _TYPICAL[name]) for name, size in PARAMETER_SIZES.items()])
    bias = state["layers.2.bias"] * scales
    first = sum(size for name, size in PARAMETER_SIZES.items() if name not in ("camera", "light"))
    bias[first : first + 3] += torch.tensor(_CAMERA)
    return {"layers.2.weight": state["layers.2.weight"] * scales[:, None], "layers.2.bias": bias}

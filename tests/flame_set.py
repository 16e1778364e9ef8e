"""FLAME's two files by the names of their arrays, with the recipe's numbers in them (parity README, section 10)."""

from __future__ import annotations

from typing import Any

import numpy as np
from golden_set import PREFIX, read_npz, u01, unit
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def recipe_basis(vertices: int) -> Arrays:
    """What moves a head of so many vertices."""
    name = f"{PREFIX}flame"
    scale = 0.002 / np.sqrt(1 + np.arange(400))
    regressor = np.zeros((5, vertices))
    columns = (vertices * u01(f"{name}/J_cols", (5, 32))).astype(int)
    values = u01(f"{name}/J_vals", (5, 32)) + 0.1
    np.add.at(regressor, (np.arange(5)[:, None], columns), values / values.sum(1, keepdims=True))
    weights = u01(f"{name}/weights", (vertices, 5)) ** 4
    return {
        "shapedirs": scale * unit(f"{name}/shapedirs", (vertices, 3, 400)),
        "posedirs": 0.001 * unit(f"{name}/posedirs", (vertices, 3, 36)),
        "J_regressor": regressor,
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
    }


def recipe_landmarks(faces: int) -> Arrays:
    """Landmark tables for a mesh of so many faces."""
    arrays: Arrays = {}
    for name, shape in {"static": (51,), "full": (1, 68), "dynamic": (79, 17)}.items():
        bary = u01(f"{PREFIX}lmk/{name}_bary", (*shape, 3)) + 0.05
        arrays[f"{name}_lmk_faces_idx"] = (faces * u01(f"{PREFIX}lmk/{name}_faces", shape)).astype(np.int64)
        arrays[f"{name}_lmk_bary_coords"] = bary / bary.sum(-1, keepdims=True)
    return arrays


def standin_head() -> Arrays:
    """The stand-in mesh with FLAME's counts."""
    head = read_npz("standin_head")
    return {"v_template": head["v"], "f": head["f"]}


def standin_flame() -> Arrays:
    """The whole stand-in model: mesh, basis and landmarks."""
    head = standin_head()
    return head | recipe_basis(len(head["v_template"])) | recipe_landmarks(len(head["f"]))

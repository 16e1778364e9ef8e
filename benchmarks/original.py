"""A checkout of yataoz/face_reenact_GDPW, made importable where not all that it asks for is there."""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

STAND_INS = (
    *("tensorpack", "tensorpack.utils", "tensorpack.utils.utils", "tensorpack.utils.viz"),
    *("cv2", "matplotlib", "matplotlib.pyplot", "mpl_toolkits", "mpl_toolkits.mplot3d", "torch.utils.tensorboard"),
)
"""Modules for logging and plotting, which no measurement reaches."""


def open_original(checkout: Path, faces: NDArray[np.int32], vertices: int) -> None:
    """Put the checkout on the path, and the working folder where it finds a head mesh with these faces (F, 3)."""
    folder = Path(tempfile.mkdtemp())
    (folder / "FLAME").mkdir()
    head = {"f": faces.astype(np.uint32), "v_template": np.zeros((vertices, 3))}
    (folder / "FLAME" / "generic_model.pkl").write_bytes(pickle.dumps(head))
    os.chdir(folder)
    sys.path.insert(0, str(checkout))
    for name in STAND_INS:
        if name not in sys.modules and not _exists(name):
            sys.modules[name] = mock.MagicMock()


def _exists(name: str) -> bool:
    try:
        if name == "torch.utils.tensorboard":
            name = "tensorboard"
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # its package is a stand-in
        return False

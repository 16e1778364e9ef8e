"""A fit as files that other programs read, and as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.codes import Codes
from fit_deca.flame import Flame
from pipeline.atomic import atomic_path
from pipeline.records import Crops, Fit, Track
from pipeline.shaded import draw_over

_AT_A_TIME = 16


def write_codes(path: Path, track: Track, crops: Crops, fit: Fit) -> None:
    """An .npz of a track's T frames: the codes by their names, and

    numbers, times: (T,) of the frames. crop: (T, 3, 3), pixels of the clip to those of the crop. recover: (T, 3, 3),
    the camera's plane to the crop. vertices: (T, V, 3) in pixels of the crop. error_px: (T, N). light: (T, 9, 3), where
    the fitter sees it.
    Raises PipelineError if it cannot be written.
    """
    arrays: dict[str, Any] = {name: code.numpy() for name, code in fit.codes._asdict().items()}
    arrays |= {"numbers": track.numbers, "times": track.times, "crop": crops.transforms, "recover": fit.recover}
    arrays |= {"vertices": fit.vertices, "error_px": fit.error_px}
    if fit.light is not None:
        arrays["light"] = fit.light
    with atomic_path(path) as partial:
        np.savez_compressed(partial, **arrays)


@torch.no_grad()
def write_mesh(path: Path, flame: Flame, codes: Codes) -> None:
    """The mesh of the first row of codes as Wavefront .obj, in model space: metres, y up, before the camera.

    Raises PipelineError if it cannot be written.
    """
    first = Codes(*(code[:1].to(flame.v_template) for code in codes))
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in flame(first)[0].tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (flame.faces + 1).tolist()]
    with atomic_path(path) as partial:
        partial.write_text("\n".join(lines) + "\n")


def preview(crops: Crops, fit: Fit, faces: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """Each frame's crop, and beside it the same under the shaded mesh: (S, 2 S, 3) RGB."""
    for start in range(0, len(crops.images), _AT_A_TIME):
        rows = slice(start, start + _AT_A_TIME)
        images = np.ascontiguousarray(crops.images[rows])
        light = None if fit.light is None else torch.from_numpy(fit.light[rows])
        drawn = draw_over(images, torch.from_numpy(fit.vertices[rows]), torch.from_numpy(faces), light)
        yield from np.concatenate([images, drawn], axis=2)

"""An animated crop set back into the picture that it was cut out of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.portrait import Portrait

RIM = 0.12
"""Share of the crop's side, from its border, over which the mask rises from 0 to 1."""

ROOM = 1.6
"""How much wider than its own square a source's view is to be, so that hair and ears lie inside the mask's rim."""


def soft_mask(side: int) -> NDArray[np.float32]:
    """(side, side), 0 at the border pixels of a crop, 1 inside, smooth in between, with round corners."""
    depth = np.minimum(np.arange(side), np.arange(side)[::-1]) / (RIM * side)
    rise = np.clip(depth, 0, 1).astype(np.float32)
    rise = rise * rise * (3 - 2 * rise)
    return rise[:, None] * rise


def paste_back(portrait: Portrait, results: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Whole pictures in the source's resolution; outside the mask they are the source, bit by bit.

    results: (S, S, 3) uint8 RGB, of the portrait's window.
    """
    left, top, side = portrait.window
    height, width = portrait.picture.shape[:2]
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    inside = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    mask = soft_mask(side)[inside][..., None]
    below = portrait.picture[rows, columns]
    for result in results:
        method = cv2.INTER_AREA if side < len(result) else cv2.INTER_CUBIC
        above = cv2.resize(result, (side, side), interpolation=method)[inside]
        picture = portrait.picture.copy()
        picture[rows, columns] = np.rint(below + mask * (above.astype(np.float32) - below)).astype(np.uint8)
        yield picture

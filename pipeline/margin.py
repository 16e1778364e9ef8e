"""What lies around a portrait's square: a head that turns brings it into view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.crop import Window, cut_window, transform_points, window_transform
from pipeline.portrait import Portrait
from pipeline.render import Take


def with_margin(portrait: Portrait, margin: int) -> Take:
    """The portrait's take with a margin on all sides, in pixels of the take, to half a pixel.

    Outside the whole picture, its mirror image: hair goes on as hair and not as stripes.
    """
    size, window = portrait.take.size, portrait.window
    growth = round(margin * window.side / size)
    wide = Window(window.left - growth, window.top - growth, window.side + 2 * growth)
    height, width = portrait.picture.shape[:2]
    left, top = max(-wide.left, 0), max(-wide.top, 0)
    right, bottom = max(wide.left + wide.side - width, 0), max(wide.top + wide.side - height, 0)
    picture = np.pad(portrait.picture, ((top, bottom), (left, right), (0, 0)), "symmetric")
    image = cut_window(picture, Window(wide.left + left, wide.top + top, wide.side), size + 2 * margin)
    change = window_transform(wide, size + 2 * margin) @ np.linalg.inv(window_transform(window, size))
    return replace(
        portrait.take,
        images=image[None],
        recover=change @ portrait.take.recover,
        vertices=transform_points(portrait.take.vertices, change).astype(np.float32),
    )

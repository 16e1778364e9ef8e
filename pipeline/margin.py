"""What lies around a portrait's square: a head that turns brings it into view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.crop import Window, cut_window, transform_points, window_transform
from pipeline.models import ModelConfig
from pipeline.portrait import Portrait
from pipeline.render import Stage

MARGIN = 1 / 8
"""Share of the side that a head which follows a driver may bring into view on each side."""


def with_margin(portrait: Portrait, share: float = MARGIN) -> Stage:
    """The portrait with a margin on all sides, a share of its side.

    Outside the whole picture, its mirror image: hair goes on as hair and not as stripes.
    """
    size, window = portrait.take.size, portrait.window
    margin, growth = round(share * size), round(share * window.side)
    wide = Window(window.left - growth, window.top - growth, window.side + 2 * growth)
    height, width = portrait.picture.shape[:2]
    left, top = max(-wide.left, 0), max(-wide.top, 0)
    right, bottom = max(wide.left + wide.side - width, 0), max(wide.top + wide.side - height, 0)
    picture = np.pad(portrait.picture, ((top, bottom), (left, right), (0, 0)), "symmetric")
    image = cut_window(picture, Window(wide.left + left, wide.top + top, wide.side), size + 2 * margin)
    change = window_transform(wide, size + 2 * margin) @ np.linalg.inv(window_transform(window, size))
    take = replace(
        portrait.take,
        images=image[None],
        recover=change @ portrait.take.recover,
        vertices=transform_points(portrait.take.vertices, change).astype(np.float32),
    )
    return Stage(take=take, shown=size, change=change)


def staged(portrait: Portrait, model: ModelConfig, *, pasted: bool) -> Stage:
    """The portrait as the model is to see it: with a margin where it makes use of one.

    pasted: the result goes back into the portrait's picture. Then the square's rim must stay as it is there, and what
    of the square lies outside the picture, mirrored, must not come in as black.
    """
    return with_margin(portrait, 0 if pasted else MARGIN) if model.sees_around else Stage.of(portrait.take)

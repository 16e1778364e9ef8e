"""A portrait that follows a driver: the seam between what is read and what is written, without files or commands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fit_deca.flame import Flame
from pipeline.driving import Driving, OnMissing
from pipeline.performance import Performance
from pipeline.portrait import Portrait
from pipeline.render import Take
from pipeline.transfer import Heads, TransferConfig, transfer

ZOOMS = (1.0, 1.25, 1.6, 2.0, 2.5)
"""How much wider than its own square a source's view may be."""
_TOLERATED = 1.1
"""How much larger than the driver's a source's head may be in its view."""


@dataclass(frozen=True, kw_only=True)
class FollowConfig:
    """on_missing: what becomes of the driver's frames without a face."""

    transfer: TransferConfig = field(default_factory=TransferConfig)
    on_missing: OnMissing = "hold"


def framed_for(portrait: Portrait, driving: Driving, flame: Flame, *, least: float = 1.0) -> Portrait:
    """The portrait with as much around its head as the driver has around his, so that it can go where his goes.

    In steps, `ZOOMS`, so that few views of one source serve all drivers: for most, who stay in place, the first.
    least: the narrowest step that is allowed.
    """
    head = Heads.of(flame, portrait.take.codes, portrait.take.recover).scales[0]
    takes = [take.resized(portrait.take.size) for take in driving.takes]
    growth = max(head / np.median(Heads.of(flame, take.codes, take.recover).scales) for take in takes)
    wide_enough = (zoom for zoom in ZOOMS if zoom >= least and _TOLERATED * zoom >= growth)
    return portrait.framed(next(wide_enough, ZOOMS[-1]))


def follow(source: Take, driving: Driving, config: FollowConfig, flame: Flame) -> Performance:
    """What the source does, with the driver's time stamps: a row for each frame that is shown.

    A slice of it is what the source does in that part of the time, the same as in the whole.
    Raises InputError (no_face) for a driver with a frame without a face, where `on_missing` is stop.
    """
    shown = driving.shown(config.on_missing)
    given = Performance.joined([transfer(source, take, config.transfer, flame) for take in driving.takes])
    return replace(given.rows(shown.rows), times=driving.times[shown.frames])


def panels(
    source: Take, results: Iterator[NDArray[np.uint8]], driving: Driving, on_missing: OnMissing
) -> Iterator[NDArray[np.uint8]]:
    """Source, result and driving side by side, (S, 3 S, 3); the driver's pictures are read anew."""
    shown = set(driving.shown(on_missing).frames.tolist())
    pictures = (picture for number, picture in enumerate(driving.pictures(source.size)) if number in shown)
    for result, picture in zip(results, pictures, strict=True):
        yield np.concatenate([source.images[0], result, picture], axis=1)

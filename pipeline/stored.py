"""Tracks of a dataset as sources and drivers: their stored codes save the fit."""

from __future__ import annotations

from pipeline.addresses import Stored
from pipeline.dataset import Dataset
from pipeline.errors import PipelineError
from pipeline.ledger import ManifestRow


def stored_tracks(dataset: Dataset, stored: Stored) -> list[ManifestRow]:
    """The tracks that are meant, in order. Raises PipelineError if the dataset has none of them."""
    wanted = (stored.identity, stored.video, stored.clip)
    rows = [row for row in dataset.tracks if (row.identity, row.video, row.clip) == wanted]
    rows = sorted((row for row in rows if stored.track in (None, row.track)), key=lambda row: row.track)
    if not rows:
        raise PipelineError(f"{stored.dataset}: no track {'/'.join(wanted)} in it; 'gdpw-pipe inspect' lists them")
    return rows

"""A finished dataset: shards, manifest, ledger, and `dataset.json`, which says what made it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError
from pipeline.ledger import Manifest, ManifestRow
from pipeline.shards import ARRAYS, Array, FaceModelStamp, Sample, lacks, read_sample, read_shard

DESCRIPTION = "dataset.json"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset to read. config: the options that made it."""

    folder: Path
    face_model: FaceModelStamp
    config: dict[str, Any]

    @cached_property
    def tracks(self) -> Manifest:
        """Its manifest, opened when first asked for. Raises PipelineError where there is none."""
        return Manifest(self.folder)

    @property
    def arrays(self) -> tuple[Array, ...]:
        """What is stored of every frame beside its picture."""
        return tuple(self.config.get("store", ARRAYS))

    def require(self, *names: Array) -> None:
        """Raise PipelineError where one of these is not stored."""
        for name in names:
            if name not in self.arrays:
                raise lacks(str(self.folder), name)

    def read_track(self, identity: str, video: str, clip: str, track: int) -> list[Sample]:
        """The track's samples in the order of its frames. Raises PipelineError if the dataset has no such track."""
        wanted = (identity, video, clip, track)
        for row in self.tracks:
            if (row.identity, row.video, row.clip, row.track) == wanted:
                others_before = dropwhile(lambda sample: sample.key[:4] != wanted, self.read_shard(row.shard))
                return list(takewhile(lambda sample: sample.key[:4] == wanted, others_before))
        raise PipelineError(f"{self.folder}: holds no track {'/'.join(map(str, wanted))}; see its manifest")

    def read_sample(self, row: ManifestRow, index: int) -> Sample:
        """Frame `index`, counted from 0, of a track of the manifest; no other bytes of its shard are read.

        Raises PipelineError where they are no sample, or one that was made with another face model.
        """
        path = self.folder / row.shard
        sample, face_model = read_sample(path, row.offsets[index], row.offsets[index + 1])
        refuse_mix(path, face_model, self.face_model)
        return sample

    def read_shard(self, name: str) -> Iterator[Sample]:
        """All samples of a shard. Raises PipelineError for one that was made with another face model."""
        for sample, face_model in read_shard(self.folder / name):
            refuse_mix(self.folder / name, face_model, self.face_model)
            yield sample


def open_dataset(folder: Path, face_model: FaceModelStamp | None = None) -> Dataset:
    """Open what `write_description` and a manifest describe.

    face_model: what the reader is going to turn codes into vertices with; None where it uses the stored ones alone.
    Raises PipelineError for another folder, and for a dataset made with another face model than the reader's.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        stored, config = FaceModelStamp(**description["face_model"]), description["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(f"{folder}: not a dataset that preprocess made (no usable {DESCRIPTION})") from error
    if face_model:
        refuse_mix(folder, stored, face_model)
    return Dataset(folder=folder, face_model=stored, config=config)


def write_description(folder: Path, face_model: FaceModelStamp, config: dict[str, Any]) -> None:
    """Write `dataset.json`. config: the options that made the dataset, as JSON can hold them."""
    description = {"face_model": {"name": face_model.name, "hash": face_model.hash}, "config": config}
    with atomic_path(folder / DESCRIPTION) as partial:
        partial.write_text(json.dumps(description, indent=2) + "\n")


def refuse_mix(path: Path, stored: FaceModelStamp, wanted: FaceModelStamp) -> None:
    """Raise PipelineError if what lies in `path` was made with another face model; names do not count, arrays do."""
    if stored.hash != wanted.hash:
        raise PipelineError(f"{path}: made with the face model {stored}, not {wanted}; name the same --face-model")

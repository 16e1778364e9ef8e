"""The dataset card: `README.md` in the form that Hugging Face reads, YAML in front of Markdown."""

from __future__ import annotations

import json
import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fit_deca.head import load_generic_head
from pipeline.atomic import atomic_path
from pipeline.dataset import Dataset
from pipeline.ledger import LEDGER, MANIFEST, LedgerRow, Status
from pipeline.shards import Array

CARD = "README.md"
_PACKAGES = ("gdpw-pipe", "torch", "numpy", "mediapipe", "decord2", "av", "opencv-contrib-python", "simplejpeg", "ray")
"""What decides how pictures are read, faces found and meshes fitted."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_ARRAYS: dict[Array, str] = {
    "vertices": "`.vertices.npy` the mesh in its pixels times the JSON's `vertices_scale`",
    "codes": "`.codes.npy` the 165 FLAME codes",
}

_TEXT = """\
---
pretty_name: {name}
license: other
license_name: see-source
size_categories:
- {size}
tags:
- face
- talking-head
- FLAME
- webdataset
configs:
- config_name: default
  data_files: "shard-*.tar"
---

# {name}

Faces in video, one sample a frame, each with the head mesh that was fitted to it. Made by gdpw-pipe.

| | |
| --- | --- |
| frames | {frames:,} |
| tracks | {tracks:,} |
| people | {people:,} |
| splits, by frames | {splits} |
| inputs | {inputs:,}: {done:,} used, {rejected:,} gave nothing |
| median landmark error | {error} |

## Source

`{source}`. `{ledger}` names every input and what became of it, `{manifest}` every track and the video it is from.

## Licence

This dataset holds parts of its source's pictures, so whatever the source's licence forbids is forbidden here too: look
it up before you pass anything on. {face_model_note}

## Consent

These are pictures of people, and a face identifies a person. Do not publish them, or animate anybody, without the
consent of those who are shown; take out whoever asks for it: every sample's key begins with the identity. Say of
whatever is made with a model that was trained on them that it is synthetic.

## Face model

`{face_model}`. Codes and vertices mean nothing under another one.

## Reading it

Each `shard-*.tar` is a WebDataset: `.jpg` is the picture, {arrays}, `.json` the rest.

## How it was made

{versions}

```json
{config}
```
"""


def write_card(dataset: Dataset, inputs: list[LedgerRow], source: str) -> Path:
    """Write `README.md` into the dataset's folder, whole or not at all, when the dataset has just been made.

    source: what its inputs were, as the user named it.
    """
    path = dataset.folder / CARD
    with atomic_path(path) as partial:
        partial.write_text(_card(dataset, inputs, source), encoding="utf-8")
    return path


def _card(dataset: Dataset, inputs: list[LedgerRow], source: str) -> str:
    tracks = dataset.tracks
    counts = tracks.column("frames")
    frames = sum(counts)
    done = sum(row.status == Status.DONE for row in inputs)
    splits = Counter[str]()
    for part, count in zip(tracks.column("split"), counts, strict=True):
        splits[part] += count
    return _TEXT.format(
        name=dataset.folder.absolute().name,
        size=next((name for limit, name in _SIZES if frames < limit), "n>1M"),
        frames=frames,
        tracks=len(tracks),
        people=len(set(tracks.column("identity"))),
        splits=", ".join(f"{part} {splits[part]:,}" for part in ("train", "val", "test")),
        inputs=len(inputs),
        done=done,
        rejected=len(inputs) - done,
        error=_error(dataset),
        source=source.replace("`", "'"),
        ledger=LEDGER,
        manifest=MANIFEST,
        face_model_note=_face_model_note(dataset),
        face_model=dataset.face_model,
        arrays=", ".join(_ARRAYS[name] for name in dataset.arrays),
        versions="Python " + ", ".join([platform.python_version(), *_versions()]) + ", with these options:",
        config=json.dumps(dataset.config, indent=2),
    )


def _error(dataset: Dataset) -> str:
    medians = sorted(dataset.tracks.column("error_median_px"))
    return f"{medians[len(medians) // 2]:.2f} px of the pictures, of the middle track" if medians else "none"


def _face_model_note(dataset: Dataset) -> str:
    if dataset.face_model.name == load_generic_head().name:
        return "The generic head to which the meshes belong is Apache-2.0."
    return "The meshes belong to a FLAME model, whose own licence binds too."


def _versions() -> list[str]:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # run from its own checkout, or a decoder that is not installed
            continue
    return found

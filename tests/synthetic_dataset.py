"""Made-up datasets of several people, written as preprocess writes them but without a video or a tracker.

A person is a head of their own shape and colours that turns and opens its mouth; the picture is the mesh's vertices as
dots on a ground of one colour. Codes, camera and vertices agree, so that a reader may render or retarget them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from shard_writer import write_shards

from fit_deca.codes import Codes
from fit_deca.flame import Flame
from fit_deca.head import load_generic_head
from pipeline.dataset import write_description
from pipeline.keys import Key
from pipeline.ledger import ManifestRow, write_manifest
from pipeline.render import retarget
from pipeline.shards import ARRAYS, Array, FaceModelStamp, Sample


@dataclass(frozen=True)
class MadeTrack:
    """One track to make up. Frames are numbered from 0."""

    identity: str
    clip: str = "clip"
    frames: int = 4
    split: str = "train"
    video: str = "video"
    track: int = 0


PEOPLE = (
    *(MadeTrack("ann", f"clip-{number}") for number in range(5)),
    *(MadeTrack("bob", f"clip-{number}") for number in range(2)),
    MadeTrack("cid"),
    MadeTrack("val", split="val"),
    MadeTrack("tess", split="test"),
)
"""Three people to train with, of five clips, two and one, and two who are kept from training."""


def write_dataset(
    folder: Path,
    tracks: Sequence[MadeTrack] = PEOPLE,
    *,
    size: int = 64,
    shard_bytes: int = 1 << 30,
    store: Sequence[Array] = ARRAYS,
) -> Path:
    """Write shards, manifest and description with the generic head. size: of the pictures. Returns `folder`."""
    head = load_generic_head()
    flame, stamp = Flame(head), FaceModelStamp.of(head)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    places = write_shards(folder, (_samples(track, flame, size, store) for track in tracks), stamp, shard_bytes)
    for track, (shard, offsets) in zip(tracks, places, strict=True):
        row = ManifestRow(
            identity=track.identity,
            video=track.video,
            clip=track.clip,
            track=track.track,
            frames=track.frames,
            shard=shard,
            error_median_px=0.5,
            error_p95_px=1.0,
            jitter_px=0.1,
            split=track.split,
            numbers=list(range(track.frames)),
            offsets=offsets,
        )
        rows.append(row)
    write_manifest(rows, folder)
    write_description(folder, stamp, {"crop": {"size": size}, "store": list(store)})
    return folder


def _samples(track: MadeTrack, flame: Flame, size: int, store: Collection[Array]) -> Iterator[Sample]:
    person = np.random.default_rng(list(track.identity.encode()))
    waves = np.sin(flame.v_template.double().numpy() @ person.normal(0, 40, (3, 3)))
    colours = (160 + 95 * waves).astype(np.uint8)
    ground = person.integers(0, 64, 3)
    codes = _codes(track, person)
    recover = np.array([[size / 2, 0, size / 2], [0, size / 2, size / 2], [0, 0, 1]])
    vertices = retarget(flame, codes, codes, torch.from_numpy(np.stack([recover] * track.frames))).numpy()
    arrays: dict[Array, NDArray[np.float32]] = {"vertices": vertices, "codes": codes.flat().numpy()}
    for frame in range(track.frames):
        yield Sample(
            key=Key(track.identity, track.video, track.clip, track.track, frame),
            time=frame / 25,
            image=_dots(vertices[frame], colours, ground, size),
            arrays={name: array[frame] for name, array in arrays.items() if name in store},
            crop=np.eye(3),
            recover=recover,
            error_median_px=0.5,
        )


def _codes(track: MadeTrack, person: np.random.Generator) -> Codes:
    phase = np.random.default_rng(list(f"{track.video}/{track.clip}/{track.track}".encode())).uniform(0, 2 * np.pi)
    swing = np.sin(phase + np.arange(track.frames))
    shape = np.zeros((track.frames, 100))
    shape[:, :10] = person.normal(size=10)
    pose = np.zeros((track.frames, 6))
    pose[:, 1] = 0.4 * swing
    pose[:, 3] = 0.1 * (1 + swing)
    camera = np.broadcast_to([7.0, 0, 0.02], (track.frames, 3))
    none = np.zeros((track.frames, 50))
    return Codes(*(torch.from_numpy(code.astype(np.float32)) for code in (shape, none, pose, none[:, :6], camera)))


def _dots(
    vertices: NDArray[np.float32], colours: NDArray[np.uint8], ground: NDArray[np.int64], size: int
) -> NDArray[np.uint8]:
    """The nearest dots hide the others."""
    image = np.full((size, size, 3), ground, np.uint8)
    far_to_near = np.argsort(-vertices[:, 2], kind="stable")
    x, y = vertices[far_to_near, :2].astype(int).clip(0, size - 1).T
    image[y, x] = colours[far_to_near]
    return image

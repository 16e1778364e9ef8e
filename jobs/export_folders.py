"""A dataset as the folders that the original trains from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from jobs.outputs import new_folder
from pipeline.dataset import open_dataset, refuse_mix
from pipeline.frames import read_frame
from pipeline.gdpw_folder import training_folder, write_frame
from pipeline.keys import track_prefix


@dataclass(frozen=True, kw_only=True)
class ExportFoldersConfig:
    """dataset: its folder. out: a new folder."""

    dataset: Path
    out: Path


def run(config: ExportFoldersConfig) -> str:
    """Write a picture and a mesh a frame; pictures as stored, byte by byte. Returns a summary for people.

    Raises PipelineError if the dataset cannot be read or a file not be written, MisuseError if something is in `out`.
    """
    dataset = open_dataset(config.dataset)
    dataset.require("vertices")
    tracks = dataset.tracks
    new_folder(config.out)
    frames = sum(row.frames for row in tracks)
    with tqdm(total=frames, unit="frame", disable=None) as bar:
        for row in tracks:
            names = (row.identity, row.video, row.clip, row.track)
            folder, prefix = training_folder(config.out, *names), track_prefix(*names)
            shard = config.dataset / row.shard
            for number, (start, stop) in zip(row.numbers, pairwise(row.offsets), strict=True):
                frame = read_frame(shard, start, stop, prefix)
                refuse_mix(shard, frame.face_model, dataset.face_model)
                write_frame(folder, number, frame.jpeg, (frame.vertices / frame.scale).astype(np.float32))
                bar.update()
    return f"{config.out}: {frames} frames in {len(tracks)} folders of {len({row.identity for row in tracks})} people"

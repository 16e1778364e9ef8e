"""The pictures of jobs as files, so that other programs animate exactly what ours do."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fit_deca.codes import Codes
from pipeline.atomic import atomic_path
from pipeline.contestants import SUFFIX
from pipeline.crop import Window, cut_window
from pipeline.dataset import Dataset
from pipeline.encode import EncodeConfig, write_video
from pipeline.evaluation import source_frame
from pipeline.evaluation_plan import EvaluationJob
from pipeline.ledger import ManifestRow
from pipeline.pictures import write_picture
from pipeline.shards import Sample

PAIRS, PAIRS_FILE = "pairs", "pairs.csv"
_ENCODE = EncodeConfig(encoder="libx264", quality=4)


def write_pairs(
    dataset: Dataset,
    jobs: Iterable[EvaluationJob],
    rows: Mapping[str, ManifestRow],
    *,
    frames: int,
    size: int,
    out: Path,
) -> int:
    """Write a source picture a job, a driving clip a driver, and the table that joins them. Returns how many jobs.

    jobs: those of a driver together. `out`/pairs/pairs.csv has, in paths relative to its folder, `source` (.png),
    `driving` (.mp4 of as many `frames`, evenly in time whatever the camera's times were, so that no reader drops or
    doubles one), and `result`, the name that a video of the result is to have in a folder of such.
    Raises PipelineError where the dataset cannot be read or nothing can be written.
    """
    folder = out / PAIRS
    lines = []
    for driving, some in groupby(jobs, key=lambda job: job.driving):
        driver = rows[driving]
        samples = [dataset.read_sample(driver, frame) for frame in range(min(driver.frames, frames))]
        codes = Codes.from_flat(torch.from_numpy(np.stack([sample.codes for sample in samples])))
        clip = f"driving/{driving}{SUFFIX}"
        write_video(folder / clip, (_picture(sample, size) for sample in samples), _rate(samples), config=_ENCODE)
        for job in some:
            source = dataset.read_sample(rows[job.source], source_frame(dataset, job, driver, codes))
            picture = f"source/{job.name}.png"
            write_picture(folder / picture, _picture(source, size))
            lines.append([job.name, picture, clip, f"{job.name}{SUFFIX}", len(samples)])
    with atomic_path(folder / PAIRS_FILE) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["job", "source", "driving", "result", "frames"])
        writer.writerows(lines)
    return len(lines)


def _picture(sample: Sample, size: int) -> NDArray[np.uint8]:
    side = sample.image.shape[0]
    return sample.image if side == size else cut_window(sample.image, Window(0, 0, side), size)


def _rate(samples: list[Sample]) -> float:
    """Pictures a second, on the average."""
    return (len(samples) - 1) / (samples[-1].time - samples[0].time)

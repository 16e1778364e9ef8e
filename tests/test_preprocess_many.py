"""Many tiny clips: the graph comes to its end on one core and on two, and nobody is lost on the way."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import ray

from jobs.preprocess import PreprocessConfig, run
from pipeline.crop import CropConfig
from pipeline.encode import write_video
from pipeline.ledger import Status, read_ledger
from pipeline.video import read_frames

CLIPS, FRAMES = 40, 6


@pytest.fixture(scope="module")
def inputs(carphone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that follow one another in the carphone sequence, a frame apart."""
    folder = tmp_path_factory.mktemp("many")
    pictures = [frame.image for frame in islice(read_frames(carphone), CLIPS + FRAMES)]
    for number in range(CLIPS):
        write_video(folder / f"{number:02d}.mp4", pictures[number : number + FRAMES], 25)
    return folder


@pytest.fixture(scope="module")
def shards(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """The shard that so many cores make."""
    made = {}
    for cores in (1, 2):
        out = tmp_path_factory.mktemp("cores") / str(cores)
        ray.init(
            num_cpus=cores, address="local", object_store_memory=200e6, include_dashboard=False, log_to_driver=False
        )
        try:
            run(PreprocessConfig(input=inputs, out=out, crop=CropConfig(size=64), workers=cores))
        finally:
            ray.shutdown()
        rows = read_ledger(out)
        assert [(row.status, row.frames) for row in rows] == [(Status.DONE, FRAMES)] * CLIPS
        made[cores] = (out / "shard-000000.tar").read_bytes()
    return made


def test_every_clip_comes_through_on_one_core_and_on_two_with_the_same_bytes(shards: dict[int, bytes]) -> None:
    assert shards[1] == shards[2]

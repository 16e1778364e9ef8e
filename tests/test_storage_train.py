"""Training whose dataset and run lie on an S3 server: as from and to a folder, and it goes on from there."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from outputs import put
from s3_server import BUCKET, running_server
from synthetic_dataset import write_dataset

from gdpw.checkpoint import Checkpoint
from jobs.recipe import Intervals, Recipe
from jobs.run_folder import RunFolder
from jobs.settings import change
from jobs.train import TrainConfig, TrainTask, run
from pipeline.storage import for_arrow, locate, tree


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with running_server(tmp_path_factory.mktemp("server") / "log"):
        yield locate(f"s3://{BUCKET}")


def trained(dataset: Path, folder: Path, *steps: int) -> Checkpoint:
    """What training leaves in a folder, begun, and begun again, for so many steps."""
    recipe = replace(
        change(Recipe.preset("tiny", "both"), {"steps": steps[-1], "accumulation": 1}),
        every=Intervals(metrics=1, pictures=2, checkpoint=1),
    )
    for number, last in enumerate(steps):
        task = TrainTask(dataset=dataset, run=folder, recipe=replace(recipe, steps=last))
        assert f"{folder}: {last} steps" in run(TrainConfig(task=task, local=True, resume=number > 0))
    checkpoint = RunFolder(folder).newest()
    assert checkpoint is not None
    return checkpoint


def test_training_reads_and_writes_there_and_goes_on(bucket: Path, tmp_path: Path) -> None:
    here, there = write_dataset(tmp_path / "dataset", size=32), bucket / "dataset"
    for path in tree(here):
        put(there / path.name, path.read_bytes())
    folder = RunFolder(bucket / "run")
    checkpoint = trained(there, folder.path, 1, 2)
    assert checkpoint.name == f"{folder.path}/checkpoints/step-000000002.pth"
    assert [row["step"] for row in folder.read_metrics()] == [0, 1]
    assert folder.last_metrics() == folder.read_metrics()[-1]
    assert (folder.path / "pictures" / "step-000000002.png").is_file()
    assert len(list((folder.path / "tensorboard").iterdir())) == 2
    alone = trained(here, tmp_path / "run", 1, 2)
    for name, value in alone.generator.items():
        assert torch.allclose(checkpoint.generator[name], value, rtol=0, atol=0, equal_nan=True), name


def test_ray_finds_the_run_folder_through_arrow(bucket: Path) -> None:
    name, store = pickle.loads(pickle.dumps(for_arrow(bucket / "ray" / "run")))
    store.create_dir(name)
    with store.open_output_stream(f"{name}/state.json") as file:
        file.write(b"state")
    assert (bucket / "ray" / "run" / "state.json").read_bytes() == b"state"

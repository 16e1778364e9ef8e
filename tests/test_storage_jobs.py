"""Commands whose inputs and outputs lie on an S3 server, which is begun again in the middle: as from a folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from outputs import put, shards
from s3_server import BUCKET, KEY, SECRET, Server, running_server

from jobs import status
from jobs.preprocess import PreprocessConfig
from jobs.preprocess import run as run_preprocess
from jobs.render import RenderRunConfig
from jobs.render import run as run_render
from pipeline.assembly import Assembly
from pipeline.errors import PipelineError
from pipeline.ledger import read_ledger, read_manifest
from pipeline.parts import PARTS
from pipeline.render_plan import RenderJob, RenderPlan, dataset_jobs
from pipeline.storage import locate, remove, tree


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, and then a Ray whose workers know it by their environment."""
    with running_server(tmp_path_factory.mktemp("server") / "log") as server:
        options: dict[str, Any] = {"object_store_memory": 200_000_000, "include_dashboard": False}
        ray.init(num_cpus=1, address="local", log_to_driver=False, **options)
        yield server
        ray.shutdown()


@pytest.fixture(scope="module")
def clips(server: Server, excerpt: Path) -> Path:
    """Two clips and one that is broken, on the server."""
    folder = locate(f"s3://{BUCKET}/clips")
    for name, data in (("ann #1", excerpt.read_bytes()), ("bob", excerpt.read_bytes()), ("cid", bytes(1000))):
        put(folder / "sub.dir" / f"{name}.mp4", data)
    return folder


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, server: Server, excerpt: Path) -> Path:
    """The dataset of the same clips, from a folder to a folder."""
    folder = tmp_path_factory.mktemp("here")
    for name, data in (("ann #1", excerpt.read_bytes()), ("bob", excerpt.read_bytes()), ("cid", bytes(1000))):
        put(folder / "clips" / "sub.dir" / f"{name}.mp4", data)
    run(PreprocessConfig(input=folder / "clips", out=folder / "dataset", shard_bytes=100_000))
    return folder / "dataset"


@pytest.fixture(scope="module")
def dataset(server: Server, clips: Path) -> Path:
    """The dataset, made in two runs: the first is killed after a clip, and somebody deletes the parts that it left.

    During the second the server is killed and begun again.
    """
    out = locate(f"s3://{BUCKET}/dataset")
    config = PreprocessConfig(input=clips, out=out, shard_bytes=100_000)

    def killed(self: Assembly, *found: Any) -> None:
        add(self, *found)
        raise KeyboardInterrupt

    add = Assembly.add
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Assembly, "add", killed)
        patch.setattr(Assembly, "advance", lambda self: None)
        with pytest.raises(KeyboardInterrupt):
            run(config)
    assert "1 of 3" in status.run(out)
    remove(tree(out / PARTS))

    def add_and_restart(self: Assembly, *found: Any) -> None:
        if not restarts:
            restarts.append(threading.Thread(target=server.restart))
            restarts[0].start()
        add(self, *found)

    restarts: list[threading.Thread] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Assembly, "add", add_and_restart)
        assert "24 frames in 2 tracks of 3 inputs, 1 rejected" in run(config)
    restarts[0].join()
    return out


def run(config: PreprocessConfig) -> str:
    try:
        return run_preprocess(config)
    except PipelineError as error:
        rows = "; ".join(row.message for row in read_ledger(config.out))
        raise AssertionError(f"{error}: {rows}") from error


def test_shards_are_the_same_bytes_as_in_a_folder(dataset: Path, straight: Path) -> None:
    assert len(shards(straight)) > 1
    assert shards(dataset) == shards(straight)
    assert read_manifest(dataset) == read_manifest(straight)


def test_the_ledger_names_urls(dataset: Path, clips: Path) -> None:
    rows = [(row.input, row.status, row.reason) for row in read_ledger(dataset)]
    assert rows == [
        (f"{clips}/sub.dir/ann #1.mp4", "done", None),
        (f"{clips}/sub.dir/bob.mp4", "done", None),
        (f"{clips}/sub.dir/cid.mp4", "failed", "unreadable"),
    ]


def test_nothing_is_left_of_the_work(dataset: Path) -> None:
    names = {path.name for path in dataset.iterdir()} - {".pieces"} - set(shards(dataset))
    assert names == {"manifest.parquet", "ledger.parquet", "dataset.json", "report.html", "README.md"}


def test_status_reads_the_run_from_anywhere(dataset: Path) -> None:
    assert "3 of 3" in status.run(dataset)
    assert "nothing" in status.run(dataset)


def test_videos_are_rendered_from_there_to_there(dataset: Path, straight: Path, clips: Path, tmp_path: Path) -> None:
    outs = {straight: tmp_path / "out", dataset: locate(f"s3://{BUCKET}/out")}
    videos = []
    for folder, out in outs.items():
        job = dataset_jobs(folder).jobs[-1]
        assert "1 of 1 jobs done" in run_render(RenderRunConfig(out=out, plan=RenderPlan([job], [])))
        videos.append((out / job.output).read_bytes())
    assert videos[0] == videos[1]
    filmed = RenderJob(source=f"{clips}/sub.dir/bob.mp4@0.1s", driving=f"{clips}/sub.dir/bob.mp4", output="filmed.mp4")
    config = RenderRunConfig(out=locate(f"s3://{BUCKET}/filmed"), plan=RenderPlan([filmed], []))
    assert "1 of 1 jobs done, 12 frames" in run_render(config)
    assert "1 of 1 jobs done" in run_render(config), "a second call has nothing to do"


def test_no_secret_is_written(dataset: Path) -> None:
    for path in tree(dataset):
        data = path.read_bytes()
        assert SECRET.encode() not in data
        assert KEY.encode() not in data

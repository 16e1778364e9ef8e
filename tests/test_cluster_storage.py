"""Three nodes and an S3 server, all on this machine: a node is killed while a command works, the server is begun again,
another node joins, and what the command leaves on the server is what it leaves in a folder when nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from outputs import put, shards
from s3_server import BUCKET, Server, running_server
from synthetic_dataset import MadeTrack, write_dataset
from three_nodes import (
    PATIENCE,
    RENDERED,
    TRAINED,
    Nodes,
    disturb,
    finish,
    results_in,
    start,
    steps_in,
    terms,
    three_nodes,
)

from pipeline.ledger import Status, read_ledger, read_manifest
from pipeline.render_ledger import read_render_ledger
from pipeline.storage import locate, tree

CLIPS = 8
PEOPLE = 8
STORE = f"s3://{BUCKET}"

pytestmark = pytest.mark.timeout(3 * PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def nodes(server: Server) -> Iterator[Nodes]:
    """Their workers know the server by their environment."""
    with three_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def dataset(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In a folder; the same lies on the server as dataset."""
    people = [MadeTrack(f"person-{number:02}", frames=90) for number in range(PEOPLE)]
    folder = write_dataset(tmp_path_factory.mktemp("made") / "dataset", people, size=32)
    for path in tree(folder):
        put(locate(f"{STORE}/dataset") / path.name, path.read_bytes())
    return folder


def test_preprocess(nodes: Nodes, server: Server, excerpt: Path, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for number in range(CLIPS):
        for folder in (tmp_path / "clips", locate(f"{STORE}/clips")):
            put(folder / f"{number}.mp4", excerpt.read_bytes())
    one, many, small = tmp_path / "one", locate(f"{STORE}/many"), ["--shard-size", "1M"]
    finish(start("preprocess", tmp_path / "clips", one, *small, "--workers", "1"))
    process = start("preprocess", f"{STORE}/clips", f"{STORE}/many", *small, "--address", nodes.address)
    disturb(nodes, process, "MapWorker", lambda: results_in(many), server.restart)

    assert len(shards(many)) >= 2
    assert shards(many) == shards(one)
    assert read_manifest(many) == read_manifest(one)
    assert [(row.status, row.frames) for row in read_ledger(many)] == [(Status.DONE, 12)] * CLIPS
    assert not [path for path in tree(many) if "partial" in path.name]


def test_render(nodes: Nodes, server: Server, dataset: Path, tmp_path: Path) -> None:
    finish(start("render", tmp_path / "one", "--dataset", dataset, *RENDERED, "--cpus", "1"))
    many = locate(f"{STORE}/videos")
    process = start("render", f"{STORE}/videos", "--dataset", f"{STORE}/dataset", *RENDERED, "--address", nodes.address)
    disturb(nodes, process, "ray::Writer", lambda: results_in(many), server.restart)

    rows, expected = read_render_ledger(many), read_render_ledger(tmp_path / "one")
    assert [(row.output, row.status, row.sha256) for row in rows] == [
        (row.output, "done", row.sha256) for row in expected
    ]
    assert len(rows) == PEOPLE


def test_train(nodes: Nodes, server: Server, dataset: Path, tmp_path: Path) -> None:
    finish(start("train", dataset, tmp_path / "calm", *TRAINED, "--address", nodes.address))
    process = start("train", f"{STORE}/dataset", f"{STORE}/run", *TRAINED, "--address", nodes.address)
    run = locate(f"{STORE}/run")
    disturb(nodes, process, "RayTrainWorker", lambda: steps_in(run) - 4, server.restart)

    assert [row["step"] for row in terms(run)] == list(range(16))
    assert terms(run) == terms(tmp_path / "calm")

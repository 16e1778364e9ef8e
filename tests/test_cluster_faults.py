"""Three nodes on this machine: one is killed while a command works there, another joins, and nothing of it is seen.

The commands run as processes of their own, as they do elsewhere; what they leave behind is compared with what they
leave on one node that nothing happens to.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from synthetic_dataset import MadeTrack, write_dataset
from test_ray_stage import Die, Trouble
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
    wait_for,
)

from jobs.cluster import cluster
from jobs.ray_stage import RETRIES, Failed, RayStage, run_stages
from pipeline.errors import Reason
from pipeline.ledger import Status, read_ledger, read_manifest
from pipeline.render_ledger import read_render_ledger

CLIPS = 8
PEOPLE = 12

pytestmark = pytest.mark.timeout(3 * PATIENCE)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with three_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def clips(excerpt: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(CLIPS):
        shutil.copy(excerpt, folder / f"{number}.mp4")
    (folder / "broken.mp4").write_bytes(bytes(1000))
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People with so many frames that none is rendered in a moment."""
    people = [MadeTrack(f"person-{number:02}", frames=150) for number in range(PEOPLE)]
    return write_dataset(tmp_path_factory.mktemp("made") / "dataset", people, size=32)


def test_preprocess_is_stopped_goes_on_and_loses_a_node_and_its_shards_are_those_of_one_node(
    nodes: Nodes, clips: Path, tmp_path: Path
) -> None:
    small, log = ["--shard-size", "1M"], tmp_path / "log.jsonl"
    finish(start("preprocess", clips, tmp_path / "one", *small, "--workers", "1"))

    command = ("preprocess", clips, tmp_path / "many", *small, "--address", nodes.address, "--log", log)
    process = start(*command)
    wait_for(process, lambda: results_in(tmp_path / "many") >= 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) != 0
    before = results_in(tmp_path / "many")
    disturb(nodes, start(*command), "MapWorker", lambda: results_in(tmp_path / "many") - before)

    one, many = ({path.name: path.read_bytes() for path in (tmp_path / name).glob("*.tar")} for name in ("one", "many"))
    assert len(many) >= 2
    assert many == one
    assert read_manifest(tmp_path / "many") == read_manifest(tmp_path / "one")
    assert [row.status for row in read_ledger(tmp_path / "many")].count(Status.DONE) == CLIPS
    assert not list((tmp_path / "many").rglob("*.partial*"))
    events = Counter(json.loads(line)["event"] for line in log.read_text().splitlines())
    assert events == {"begin": 2, "broken off": 1, "end": 1, "done": CLIPS, "failed": 1}
    assert re.search(r'gdpw_items_total\{.*stage="WriteClip"', nodes.metrics())


def test_render_loses_a_node_and_every_video_is_that_of_one_node(nodes: Nodes, dataset: Path, tmp_path: Path) -> None:
    finish(start("render", tmp_path / "one", "--dataset", dataset, *RENDERED, "--cpus", "1"))
    process = start("render", tmp_path / "many", "--dataset", dataset, *RENDERED, "--address", nodes.address)
    disturb(nodes, process, "ray::Writer", lambda: results_in(tmp_path / "many"))

    one, many = (read_render_ledger(tmp_path / name) for name in ("one", "many"))
    assert [(row.output, row.status, row.sha256) for row in many] == [(row.output, "done", row.sha256) for row in one]
    assert len(many) == PEOPLE
    assert not list((tmp_path / "many").rglob("*.partial*"))


def test_training_of_two_workers_loses_a_node_and_no_loss_differs(nodes: Nodes, dataset: Path, tmp_path: Path) -> None:
    finish(start("train", dataset, tmp_path / "calm", *TRAINED, "--address", nodes.address))
    process = start("train", dataset, tmp_path / "run", *TRAINED, "--address", nodes.address)
    disturb(nodes, process, "RayTrainWorker", lambda: steps_in(tmp_path / "run") - 4)

    calm, run = (terms(tmp_path / name) for name in ("calm", "run"))
    assert [row["step"] for row in run] == list(range(16))
    assert run == calm


def test_a_stage_that_segfaults_on_one_input_loses_that_one_alone(nodes: Nodes, tmp_path: Path) -> None:
    stages = [RayStage(stage=Die, config=Trouble(3, tmp_path), num_cpus=1.0)]
    items = [(f"item {number}", number) for number in range(9)]
    with cluster(nodes.address):
        results = dict(run_stages(items, stages))
    assert results.pop("item 3") == Failed(Reason.WORKER_DIED, f"item 3: its worker died {RETRIES + 1} times")
    assert results == {key: number for key, number in items if number != 3}


class Where:
    """Anything -> the node on which it is worked on, after a while."""

    def __init__(self, config: None) -> None:
        pass

    def __call__(self, _: int) -> str:
        time.sleep(0.3)
        return ray.get_runtime_context().get_node_id()


def test_a_node_that_joins_gets_work_of_a_run_that_goes_on(nodes: Nodes) -> None:
    with cluster(nodes.address):
        first = {node["NodeID"] for node in ray.nodes()}
        results = run_stages([(str(n), n) for n in range(1000)], [RayStage(stage=Where, config=None, num_cpus=1.0)])
        assert next(results)[1] in first
        nodes.join()
        assert any(node not in first for _, node in results)
        del results  # ends the run while there is still a Ray

"""Three nodes on this machine: one is killed while a command works there, another joins, and nothing of it is seen.

The commands run as processes of their own, as they do elsewhere; what they leave behind is compared with what they
leave on one node that nothing happens to.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import ray
from ray.cluster_utils import Cluster
from synthetic_dataset import MadeTrack, write_dataset
from test_ray_stage import Die, Trouble

from jobs.cluster import cluster
from jobs.ray_stage import RETRIES, Failed, RayStage, run_stages
from jobs.run_folder import RunFolder
from pipeline.errors import PipelineError, Reason
from pipeline.ledger import Status, read_ledger, read_manifest
from pipeline.progress import read_progress
from pipeline.render_ledger import read_render_ledger

ROOT = Path(__file__).parents[1]
PATIENCE = 600.0
STORE = 80_000_000
CLIPS = 8
PEOPLE = 12
RENDERED = ["--size", "64"]
TRAINED = ["--preset", "tiny", "--steps", "16", "--workers", "2", "--no-tensorboard"]
TRAINED += ["--set", "every.metrics=1", "--set", "every.checkpoint=4"]

pytestmark = pytest.mark.timeout(3 * PATIENCE)


class Nodes:
    """A head, which nothing happens to, and two workers with a CPU each."""

    def __init__(self) -> None:
        settings = {"health_check_period_ms": 1000, "health_check_initial_delay_ms": 1000}
        settings |= {"metrics_report_interval_ms": 500}
        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False, "_system_config": settings}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        for _ in range(2):
            self.join()

    def join(self) -> None:
        self._cluster.add_node(num_cpus=1, object_store_memory=STORE)

    def kill_one_with(self, worker: str) -> bool:
        """Kill the first node, but the head, that has such a worker; False if none has one by now."""
        import psutil  # ray brings it along, on a path that it adds when it is imported

        for node in list(self._cluster.worker_nodes):
            raylet = node.all_processes["raylet"][0].process.pid
            names = [
                process.info["cmdline"]
                for process in psutil.process_iter(["cmdline", "ppid"])
                if process.info["ppid"] == raylet
            ]
            if any(worker in " ".join(name or []) for name in names):
                self._cluster.remove_node(node, allow_graceful=False)
                return True
        return False

    def metrics(self) -> str:
        """What Prometheus would read."""
        said = ""
        for node in (self._cluster.head_node, *self._cluster.worker_nodes):
            with urlopen(f"http://{node.node_ip_address}:{node.metrics_export_port}/metrics", timeout=60) as answer:
                said += answer.read().decode()
        return said

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Their workers find the stages of the tests too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, ROOT))))
        nodes = Nodes()
        yield nodes
        nodes.close()


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "jobs.cli", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a command that is to end well."""
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said


def wait_for(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    """Until something happened. The command may not end before."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def disturb(nodes: Nodes, process: subprocess.Popen[str], worker: str, got: Callable[[], int]) -> None:
    """Kill a node that works for the command once that has got something, and have another one join."""
    try:
        wait_for(process, lambda: got() >= 1 and nodes.kill_one_with(worker))
        nodes.join()
        finish(process)
    finally:
        process.kill()


def results_in(out: Path) -> int:
    try:
        return read_progress(out).statuses.total()
    except PipelineError:  # not begun
        return 0


def steps_in(run: Path) -> int:
    return (RunFolder(run).last_metrics() or {"step": -1})["step"] + 1


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
    disturb(nodes, process, "_Writer", lambda: results_in(tmp_path / "many"))

    one, many = (read_render_ledger(tmp_path / name) for name in ("one", "many"))
    assert [(row.output, row.status, row.sha256) for row in many] == [(row.output, "done", row.sha256) for row in one]
    assert len(many) == PEOPLE
    assert not list((tmp_path / "many").rglob("*.partial*"))


def test_training_of_two_workers_loses_a_node_and_no_loss_differs(nodes: Nodes, dataset: Path, tmp_path: Path) -> None:
    finish(start("train", dataset, tmp_path / "calm", *TRAINED, "--address", nodes.address))
    process = start("train", dataset, tmp_path / "run", *TRAINED, "--address", nodes.address)
    disturb(nodes, process, "RayTrainWorker", lambda: steps_in(tmp_path / "run") - 4)

    calm, run = (_terms(tmp_path / name) for name in ("calm", "run"))
    assert [row["step"] for row in run] == list(range(16))
    assert run == calm


def _terms(run: Path) -> list[dict[str, float]]:
    """The numbers of all steps, without those that depend on the clock."""
    others = ("pairs_per_second", "data_wait_share")
    return [{n: v for n, v in row.items() if n not in others} for row in RunFolder(run).read_metrics()]


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

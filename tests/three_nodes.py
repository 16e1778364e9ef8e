"""Three Ray nodes on this machine, one of which is killed while a command works there, and another joins.

The commands run as processes of their own, as they do elsewhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from ray.cluster_utils import Cluster

from jobs.run_folder import RunFolder
from pipeline.errors import PipelineError
from pipeline.progress import read_progress

ROOT = Path(__file__).parents[1]
PATIENCE = 600.0
STORE = 80_000_000
RENDERED = ["--size", "64"]
TRAINED = ["--preset", "tiny", "--steps", "16", "--workers", "2", "--no-tensorboard"]
TRAINED += ["--set", "every.metrics=1", "--set", "every.checkpoint=4"]


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


@contextmanager
def three_nodes() -> Iterator[Nodes]:
    """Their workers find the stages of the tests too, and have the environment of this moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, ROOT))))
        nodes = Nodes()
        try:
            yield nodes
        finally:
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


def disturb(
    nodes: Nodes,
    process: subprocess.Popen[str],
    worker: str,
    got: Callable[[], int],
    too: Callable[[], None] = lambda: None,
) -> None:
    """Kill a node that works for the command once that has got something, and have another one join. too: what else
    is to happen then."""
    try:
        wait_for(process, lambda: got() >= 1 and nodes.kill_one_with(worker))
        too()
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


def terms(run: Path) -> list[dict[str, float]]:
    """The numbers of all steps, without those that depend on the clock."""
    others = ("pairs_per_second", "data_wait_share")
    return [{n: v for n, v in row.items() if n not in others} for row in RunFolder(run).read_metrics()]

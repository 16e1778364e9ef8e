"""`--address`: preprocess on a Ray that somebody else started, and that goes on without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from jobs.cluster import code
from jobs.preprocess import PreprocessConfig, run
from pipeline.errors import PipelineError
from pipeline.ledger import Status, read_ledger


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """One node with one core, to which this process is not connected, and which finds no package by PYTHONPATH."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH", raising=False)
        started = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "object_store_memory": 200_000_000, "include_dashboard": False},
        )
    yield started
    started.shutdown()


def test_a_cluster_that_runs_does_the_work_and_goes_on(running: Cluster, excerpt: Path, tmp_path: Path) -> None:
    run(PreprocessConfig(input=excerpt, out=tmp_path / "out", address=running.address))
    assert [(row.status, row.frames) for row in read_ledger(tmp_path / "out")] == [(Status.DONE, 12)]
    assert not ray.is_initialized()
    ray.init(address=running.address, log_to_driver=False)
    try:
        assert ray.cluster_resources()["CPU"] == 1
    finally:
        ray.shutdown()


DRIVER = """
import shutil, sys
import ray
from jobs.cluster import cluster

def places():
    import fit_deca, gdpw, jobs, pipeline
    from fit_deca.head import load_generic_head
    load_generic_head()  # data come along
    return [package.__file__ for package in (fit_deca, gdpw, jobs, pipeline)]

with cluster(sys.argv[1]):
    shutil.rmtree(sys.argv[2])
    print(*ray.get(ray.remote(places).remote()), sep="\\n")
"""


def test_workers_run_the_code_of_the_command_whatever_is_installed_there(running: Cluster, tmp_path: Path) -> None:
    """The command's own folder is gone when they start, as on machines that never had it."""
    for folder in code():
        shutil.copytree(folder, tmp_path / "code" / Path(folder).name, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, running.address, tmp_path / "code"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "code")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    places = done.stdout.splitlines()
    assert [Path(place).parent.name for place in places] == ["fit_deca", "gdpw", "jobs", "pipeline"]
    assert all("/py_modules_files/" in place for place in places), places


def test_an_address_where_nothing_runs_is_named(excerpt: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no Ray cluster at 127\.0\.0\.1:1 \(--address\)"):
        run(PreprocessConfig(input=excerpt, out=tmp_path / "out", address="127.0.0.1:1"))

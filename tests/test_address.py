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
from packaging.version import Version
from ray.cluster_utils import Cluster

from jobs.cluster import cluster, code
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


OWN = """
import os, subprocess, sys
from jobs.cluster import cluster

with cluster(cpus=1):
    import ray
    address = ray.get_runtime_context().gcs_address
    visit = f"import ray; ray.init(address={address!r}); print('in')"
    for change in ({}, {"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}):
        command = [sys.executable, "-c", visit]
        done = subprocess.run(command, env=os.environ | change, capture_output=True, text=True, check=False)
        print(done.stdout.strip() or ("AuthenticationError" in done.stderr and "kept out"))
"""


def test_a_ray_of_ones_own_lets_nobody_in_without_its_token() -> None:
    """Ray's default since it has tokens for local clusters; its ports are open to the network."""
    if Version(ray.__version__) < Version("2.60"):
        pytest.skip("this Ray has no token of its own accord")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run([sys.executable, "-c", OWN], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["in", "kept out", "kept out"], done.stderr


def test_a_ray_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nmore")

    monkeypatch.setattr(ray, "init", busy)
    with pytest.raises(PipelineError, match=r"^Ray did not start on this machine: .* during startup\.$"), cluster():
        pass


def test_an_address_where_nothing_runs_is_named(excerpt: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no Ray cluster at 127\.0\.0\.1:1 \(--address\)"):
        run(PreprocessConfig(input=excerpt, out=tmp_path / "out", address="127.0.0.1:1"))

"""`--address`: preprocess on a Ray that somebody else started, and that goes on without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from jobs.preprocess import PreprocessConfig, run
from pipeline.errors import PipelineError
from pipeline.ledger import Status, read_ledger


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    """One node with one core, to which this process is not connected."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "object_store_memory": 200_000_000, "include_dashboard": False},
    )
    yield cluster
    cluster.shutdown()


def test_a_cluster_that_runs_does_the_work_and_goes_on(running: Cluster, excerpt: Path, tmp_path: Path) -> None:
    run(PreprocessConfig(input=excerpt, out=tmp_path / "out", address=running.address))
    assert [(row.status, row.frames) for row in read_ledger(tmp_path / "out")] == [(Status.DONE, 12)]
    assert not ray.is_initialized()
    ray.init(address=running.address, log_to_driver=False)
    try:
        assert ray.cluster_resources()["CPU"] == 1
    finally:
        ray.shutdown()


def test_an_address_where_nothing_runs_is_named(excerpt: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no Ray cluster at 127\.0\.0\.1:1 \(--address\)"):
        run(PreprocessConfig(input=excerpt, out=tmp_path / "out", address="127.0.0.1:1"))

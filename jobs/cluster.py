"""Where stages run: a Ray of this process's own, or one that runs already."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import PipelineError

_PATIENCE = 10.0
"""Seconds for a running cluster to answer."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DEDUP_LOGS": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_task_events_report_interval_ms": "0",  # kept by Ray's server for its dashboard: 10 kB a task
}
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
"""Workers are processes, one a core, and sums in one thread come out the same whatever the number of cores."""


@contextmanager
def cluster(address: str | None = None, cpus: int | None = None) -> Iterator[int]:
    """Ray for the length of the block; gives the number of its CPUs, at least 1.

    address: of a cluster that runs ("auto", "HOST:6379"), on one of whose nodes this process is; its workers get the
    code of this process. None starts Ray on this machine and stops it afterwards.
    cpus: how many that may use; None for all that this process may run on. Within a Ray that this process is connected
    to already, that one is used and left alone.
    Ray's own messages stay in its log files. Raises PipelineError where no cluster runs at the address, or a new Ray
    does not start, and for an address of Ray's client, which lacks what Ray Data and Ray Train need of a driver.
    """
    if address:
        _refuse_client(address)
        _refuse_silence(address)
    os.environ |= _QUIET
    import ray

    own = not ray.is_initialized()
    if own:
        with _quiet_stderr(), _one_error(address):
            ray.init(
                address=address or "local",
                num_cpus=None if address else cpus or cores(),
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.FATAL,
                runtime_env={"env_vars": _ONE_THREAD, **({"py_modules": code()} if address else {})},
            )
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.FATAL)
    try:
        yield max(int(ray.cluster_resources().get("CPU", 1)), 1)
    finally:
        if own:
            ray.shutdown()


def code() -> list[str]:
    """Folders of our packages. Workers elsewhere import them before what is installed there, which may be older, or
    nothing; what they depend on must be there."""
    return [str(Path(__file__).parents[1] / name) for name in ("fit_deca", "gdpw", "jobs", "pipeline")]


def _refuse_client(address: str) -> None:
    if address.startswith("ray://"):
        raise PipelineError(
            f"{address}: Ray's client cannot carry a run; on a node of the cluster, or in a Ray job, say "
            "--address auto, or HOST:6379 with the port of the head itself"
        )


def _refuse_silence(address: str) -> None:
    """Raise PipelineError where nobody listens: Ray itself would wait for minutes, and then end this process."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdigit()):
        return  # such as auto, where Ray looks for itself
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise PipelineError(f"no Ray cluster at {address} (--address): {error}") from error


@contextmanager
def _one_error(address: str | None) -> Iterator[None]:
    """What keeps Ray from starting, such as too busy a machine, or from joining a cluster, as a PipelineError."""
    try:
        yield
    except Exception as error:  # Ray raises Exception itself
        what = f"no Ray cluster at {address} (--address)" if address else "Ray did not start on this machine"
        why, _, _ = (str(error).strip() or type(error).__name__).partition("\n")
        raise PipelineError(f"{what}: {why}") from error


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keeps away what Ray's native code says of its own settings."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def cores() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

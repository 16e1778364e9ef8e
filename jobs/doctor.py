"""What is found and usable on this machine, and what to do about the rest."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from jobs.system_libraries import missing_packages
from jobs.table import aligned

GIB = 1 << 30


class State(StrEnum):
    """MISSING stops the default path; ABSENT costs a choice or speed only."""

    OK = "ok"
    ABSENT = "-"
    MISSING = "MISSING"


class Check(NamedTuple):
    """One line of the report. advice: what to do; empty where there is nothing to do."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(folder: Path = Path()) -> list[Check]:
    """All checks; files of others are looked for in `folder` too."""
    return [check for checks in CHECKS for check in checks()] + list(_assets(folder))


def usable(checks: list[Check]) -> bool:
    """Whether the default path works: preprocess, reenact and demo without any file of others."""
    return all(check.state != State.MISSING for check in checks)


def report(checks: list[Check]) -> str:
    """An aligned table, and a last line that says whether the default path works."""
    verdict = (
        "The default path works: gdpw-pipe demo."
        if usable(checks)
        else "The default path does not work yet: see the lines marked MISSING."
    )
    return f"{aligned(checks)}\n\n{verdict}"


def _machine() -> Iterator[Check]:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    state, advice = (State.OK, "") if supported else (State.MISSING, "use Python 3.11, 3.12 or 3.13")
    yield Check("Python", state, platform.python_version(), advice)
    packages = missing_packages()
    if packages:
        yield Check("system libraries", State.MISSING, ", ".join(packages), f"apt-get install {' '.join(packages)}")
    else:
        yield Check("system libraries", State.OK, "all load")
    yield Check("cores", State.OK, str(_cores()))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    yield Check("memory", State.OK, f"{memory:.0f} GiB")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _torch() -> Iterator[Check]:
    import torch

    yield Check("torch", State.OK, torch.__version__)
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            yield Check(f"GPU {index}", State.OK, f"{properties.name}, {properties.total_memory / GIB:.0f} GiB")
    else:
        yield Check("GPU", State.ABSENT, "none", "optional: everything runs on the CPU")
    yield _package("nvdiffrast", "optional: rasterising is compiled for the CPU; its README says how to install it")


def _ray() -> Iterator[Check]:
    yield _package("ray", "optional: one machine needs none")


def _package(name: str, advice: str) -> Check:
    try:
        return Check(name, State.OK, version(name))
    except PackageNotFoundError:
        return Check(name, State.ABSENT, "not installed", advice)


def _video() -> Iterator[Check]:
    import av

    if "libx264" in av.codecs_available:
        yield Check("H.264 encoder", State.OK, f"libx264 (PyAV {av.__version__})")
    else:
        yield Check("H.264 encoder", State.MISSING, f"none in PyAV {av.__version__}", "pip install av, from its wheel")
    import decord

    yield Check("video decoder", State.OK, f"decord {decord.__version__}")


def _assets(folder: Path) -> Iterator[Check]:
    """The package's own files must be there and load; others cost a choice only."""
    from pipeline.assets import survey

    for asset, path, _, fault in survey(folder=folder, load=True):
        state = State.MISSING if asset.packaged else State.ABSENT
        if fault:
            yield Check(asset.what, state, "unusable", fault)
        elif path is None:
            advice = asset.get if asset.packaged else f"optional: gdpw-pipe assets fetch {asset.name}"
            yield Check(asset.what, state, "not found", advice)
        else:
            yield Check(asset.what, State.OK, str(path))


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (_machine, _torch, _video, _ray)

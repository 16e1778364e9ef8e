"""What a process and all below it hold, read from Linux's /proc: memory, open files, threads."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    """name: the command line's beginning. pss, uss: bytes, its share of what is common included, and its own alone;
    in_files: of pss, what the system may drop, since it lies in files."""

    pid: int
    parent: int
    name: str
    zombie: bool
    pss: int
    uss: int
    in_files: int
    threads: int
    files: tuple[str, ...]


def adopt_orphans() -> None:
    """From now on what descends from this process stays below it: orphans become its children, not those of init."""
    ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(root: int) -> list[Process]:
    """All that descends from a process, without itself."""
    parents = dict(_parents())
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    found = [read_process(pid) for pid in sorted(family - {root})]
    return [process for process in found if process]


def workers_below(root: int) -> list[Process]:
    """What does the work of a run below its driver: Ray's workers, and decoders. Not the agents of Ray's node, which
    takes the death of one for its own."""
    marks, agents = ("ray::", "pipeline.decoder_process"), ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
    return [
        process
        for process in below(root)
        if any(mark in process.name for mark in marks) and not process.name.startswith(agents)
    ]


def read_process(pid: int) -> Process | None:
    """None where it has ended."""
    place = Path(f"/proc/{pid}")
    try:
        state = (place / "stat").read_text().rpartition(")")[2].split()
        name = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        memory = _memory(place)
        files = tuple(_links(place / "fd"))
    except OSError:
        return None
    pss = memory.get("Pss", 0)
    uss = memory.get("Private_Clean", 0) + memory.get("Private_Dirty", 0)
    in_files = memory.get("Pss_File", 0)
    return Process(pid, int(state[1]), name, state[0] == "Z", pss, uss, in_files, int(state[17]), files)


def _parents() -> Iterator[tuple[int, int]]:
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield int(place.parent.name), int(place.read_text().rpartition(")")[2].split()[1])


def _memory(place: Path) -> dict[str, int]:
    """Bytes of each kind; nothing for a zombie, which has none."""
    try:
        lines = (place / "smaps_rollup").read_text().splitlines()[1:]
    except ProcessLookupError:
        return {}
    return {name: int(size.split()[0]) * 1024 for name, size in (line.split(":") for line in lines)}


def _links(folder: Path) -> Iterator[str]:
    for entry in os.listdir(folder):
        with suppress(OSError):
            yield os.readlink(folder / entry)

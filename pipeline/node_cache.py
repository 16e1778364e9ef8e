"""Files of others on a worker's own machine: brought there once, by whichever process first wants them.

Configs carry paths, on a file system that all nodes see or on an object store, and never what is in the files. A stage
asks for a path's local copy when it is built.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.atomic import atomic_path, sweep
from pipeline.checksums import digest_of, noted_digest
from pipeline.errors import PipelineError
from pipeline.storage import is_remote

logger = logging.getLogger(__name__)

FOLDER_VARIABLE = "GDPW_NODE_CACHE"
"""Environment variable: a folder on the node's own disk. Where it is set, files on shared disks are copied there too;
objects of a store always are, by default into the user's cache."""

_BLOCK = 1 << 20


def local_copy(path: Path) -> Path:
    """The file on this machine's own disk: as it is where no copy is asked for, else `SHA256/NAME` in the cache.

    A copy is made once for all processes of the machine, appears whole or not at all, and has the SHA-256 that the
    file's folder notes of it, if it does, in `SHA256SUMS`. A file that changes at its place is copied anew.
    Raises PipelineError, one line, where it cannot be read, kept, or is another than noted.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder and not is_remote(path):
        return path
    cache = Path(folder) if folder else user_cache() / "gdpw-pipe" / "node"
    source = _version(path)
    with _alone(cache / "locks" / source):
        known = cache / "sources" / source
        if known.is_file() and (kept := cache / known.read_text() / path.name).is_file():
            return kept
        arriving = cache / "arriving" / source / path.name
        sweep(arriving.parent)
        digest = _fetch(path, arriving)
        kept = cache / digest / path.name
        kept.parent.mkdir(exist_ok=True)
        os.replace(arriving, kept)
        with atomic_path(known) as partial:
            partial.write_text(digest)
    logger.info("%s: copied to %s", path, kept)
    return kept


def user_cache() -> Path:
    """The folder of caches of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _version(path: Path) -> str:
    """A name for what lies at the path now. Raises PipelineError where nothing does."""
    try:
        about = path.stat()
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read on this machine ({error.strerror or error})") from error
    changed = getattr(about, "info", None) or about.st_mtime_ns  # all that a store says of an object
    return hashlib.sha256(f"{path} {about.st_size} {changed}".encode()).hexdigest()


def _fetch(path: Path, target: Path) -> str:
    """Copy the file. Returns its SHA-256."""
    digest = hashlib.sha256()
    with atomic_path(target) as partial:
        with path.open("rb") as source, partial.open("wb") as copy:
            while block := source.read(_BLOCK):
                digest.update(block)
                copy.write(block)
        read = digest.hexdigest()
        if (noted := noted_digest(path)) not in (None, read):
            raise PipelineError(f"{path}: has the SHA-256 {read}, but {noted} is noted beside it; add it anew")
        if digest_of(partial) != read:
            raise PipelineError(f"{target}: not what was read from {path}; is this machine's disk sound?")
    return read


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process of this machine at a time; the lock of one that dies is open."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        raise PipelineError(f"{lock}: cannot be written ({error.strerror or error})") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""What commands leave in a folder or on a store, and what tests put there."""

from __future__ import annotations

from pathlib import Path

from pipeline.atomic import atomic_path


def put(path: Path, data: bytes) -> Path:
    with atomic_path(path) as partial:
        partial.write_bytes(data)
    return path


def shards(folder: Path) -> dict[str, bytes]:
    """Names and bytes, in their order."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix == ".tar"}

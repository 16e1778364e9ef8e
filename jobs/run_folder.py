"""What a training run leaves in its folder, and how the next one finds it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gdpw.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gdpw.errors import CheckpointError
from pipeline.atomic import atomic_path
from pipeline.storage import append, copied

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunFolder:
    """config.yaml: what runs. metrics.jsonl: a line a step. checkpoints/: the last few. generator.pth: the average.

    pictures/, tensorboard/: for people. `.stop` is there while the run is asked to stop, `.fault` says why it did.
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def generator(self) -> Path:
        return self.path / "generator.pth"

    @property
    def stop(self) -> Path:
        return self.path / ".stop"

    @property
    def fault(self) -> Path:
        return self.path / ".fault"

    def checkpoints(self) -> list[Path]:
        """Newest first."""
        folder = self.path / "checkpoints"
        return sorted(folder.glob("step-*.pth"), reverse=True) if folder.is_dir() else []

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that can be read; damaged ones are passed over with a warning."""
        for path in self.checkpoints():
            try:
                return _load(path)
            except CheckpointError as error:
                log.warning("passed over: %s", error)
        return None

    def save(self, checkpoint: Checkpoint, keep: int) -> None:
        """Write it, whole or not at all, and remove the oldest ones beyond `keep`."""
        path = self.path / "checkpoints" / f"step-{checkpoint.step:09d}.pth"
        write_checkpoint(path, checkpoint)
        for old in self.checkpoints()[keep:]:
            old.unlink(missing_ok=True)

    def read_metrics(self) -> list[dict[str, Any]]:
        """A dict a step; a last line that was cut short is left out."""
        rows = []
        for line in self.metrics.read_text().splitlines() if self.metrics.exists() else []:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def last_metrics(self) -> dict[str, Any] | None:
        """Those of the newest step, found without reading the others."""
        try:
            with self.metrics.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 4096))
                lines = file.read().decode().splitlines()
            return json.loads(lines[-1])
        except (OSError, IndexError, json.JSONDecodeError):  # none yet, or a line is being written
            return None

    def forget_metrics(self, step: int) -> None:
        """Remove those of this step and later ones, which are going to be made again."""
        known = [row for row in self.read_metrics() if row["step"] < step]
        with atomic_path(self.metrics) as partial:
            partial.write_text("".join(f"{json.dumps(row)}\n" for row in known))

    def add_metrics(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append lines."""
        append(self.metrics, "".join(f"{json.dumps(row)}\n" for row in rows))


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all."""
    with atomic_path(path) as partial:
        save_checkpoint(partial, checkpoint)


def _load(path: Path) -> Checkpoint:
    with copied(path) as file:
        return replace(load_checkpoint(file), name=str(path))

"""Weights in the form that others read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gdpw.checkpoint import export_released, export_safetensors, load_checkpoint
from jobs.outputs import new_file
from pipeline.atomic import atomic_path
from pipeline.storage import copied

ExportFormat = Literal["pth", "safetensors"]

_WRITERS = {"pth": export_released, "safetensors": export_safetensors}


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """checkpoint: any that `load_checkpoint` reads. format: GDPW's released layout, or the generator alone."""

    checkpoint: Path
    out: Path
    format: ExportFormat
    overwrite: bool = False


def run(config: ExportConfig) -> str:
    """Write the file. Returns a summary for people.

    Raises CheckpointError if the checkpoint cannot be used, MisuseError or PipelineError for `out`.
    """
    new_file(config.out, f".{config.format}", overwrite=config.overwrite)
    with copied(config.checkpoint) as file:
        checkpoint = load_checkpoint(file)
    with atomic_path(config.out) as partial:
        _WRITERS[config.format](partial, checkpoint)
    return f"{config.out}: {checkpoint.config.guidance} generator after {checkpoint.step} steps"

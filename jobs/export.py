"""Weights in the form that others read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gdpw.checkpoint import export_released, export_safetensors, load_checkpoint
from jobs.outputs import new_file

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
    checkpoint = load_checkpoint(config.checkpoint)
    _WRITERS[config.format](config.out, checkpoint)
    return f"{config.out}: {checkpoint.config.guidance} generator after {checkpoint.step} steps"

"""What became of each job of `render`: a row a job, in the order of the plan."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import Fault, Reason
from pipeline.ledger import LEDGER, Status, printable, read_rows, status_of, write_rows
from pipeline.render_plan import RenderJob

_SCHEMA = pa.schema(
    [
        ("output", pa.string()),
        ("source", pa.string()),
        ("driving", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("frames", pa.int64()),
        ("seconds", pa.float64()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class RenderRow:
    """One job. output: the file, from the output folder. frames, bytes, sha256: of the file. seconds: of work."""

    output: str
    source: str
    driving: str
    status: Status
    reason: Reason | None = None
    message: str = ""
    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    sha256: str = ""

    @classmethod
    def without(cls, job: RenderJob, reason: Reason, message: str, seconds: float = 0.0) -> RenderRow:
        """A job that gave nothing, for this reason."""
        return cls(
            output=job.output,
            source=job.source,
            driving=job.driving,
            status=status_of(reason),
            reason=reason,
            message=message,
            seconds=seconds,
        )

    @classmethod
    def of_fault(cls, fault: Fault) -> RenderRow:
        """A row of a list that is no job."""
        return cls(
            output="", source=fault.path, driving="", status=Status.FAILED, reason=fault.reason, message=str(fault)
        )

    def as_json(self) -> dict[str, Any]:
        """The row as JSON holds it; `of_json` gives it back."""
        return {name: printable(value) if isinstance(value, str) else value for name, value in asdict(self).items()}

    @classmethod
    def of_json(cls, row: dict[str, Any]) -> RenderRow:
        return cls(**{**row, "status": Status(row["status"]), "reason": row["reason"] and Reason(row["reason"])})


def write_render_ledger(rows: Iterable[RenderRow], folder: Path) -> None:
    """Write `folder`/ledger.parquet, whole or not at all."""
    write_rows([asdict(row) for row in rows], _SCHEMA, folder / LEDGER)


def read_render_ledger(folder: Path) -> list[RenderRow]:
    """Rows in the order of the jobs. Raises PipelineError where there is no such ledger."""
    return [RenderRow.of_json(row) for row in read_rows(folder / LEDGER)]

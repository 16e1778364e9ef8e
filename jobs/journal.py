"""What a run does, as lines of JSON for programs: the driver's journal, and its workers' logs under the same ids."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.ledger import LedgerRow
from pipeline.render_ledger import RenderRow


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


@dataclass(frozen=True)
class Journal:
    """A line an event, appended to a file by the driver alone.

    Each has time (UTC), run and event, and of these what applies: command, input, stage, seconds, frames, reason,
    message. Events are begin, then done, skipped or failed for each input, then end, or broken off.
    path: None keeps no journal. run: the run's id, a new one if not given.
    """

    path: Path | None = None
    run: str = field(default_factory=_new_id)

    def note(self, event: str, **facts: Any) -> None:
        """Append a line. Those of the facts that are None or empty text are left out. Raises OSError."""
        if self.path is None:
            return
        known = {name: value for name, value in facts.items() if value is not None and value != ""}
        line = {"time": _now(), "run": self.run, "event": event, **known}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line, ensure_ascii=False)}\n")

    def ended(self, stage: str, key: str, row: LedgerRow | RenderRow) -> None:
        """Note what became of an input. stage: the last one that it has gone through."""
        ended = {"seconds": round(row.seconds, 3), "frames": row.frames, "reason": row.reason, "message": row.message}
        self.note(row.status, input=key, stage=stage, **ended)

    @contextmanager
    def of(self, command: str, **facts: Any) -> Iterator[None]:
        """Note begin and end of the block, or by what it was broken off."""
        start = time.monotonic()
        self.note("begin", command=command, **facts)
        try:
            yield
        except BaseException as error:
            seconds = round(time.monotonic() - start, 3)
            self.note("broken off", command=command, seconds=seconds, reason=type(error).__name__, message=str(error))
            raise
        self.note("end", command=command, seconds=round(time.monotonic() - start, 3))


class WorkerLog(logging.Formatter):
    """A worker's log in JSON, each line with the ids of run, stage and input. input: what is being worked on."""

    def __init__(self, run: str, stage: str) -> None:
        super().__init__()
        self._ids = {"run": run, "stage": stage}
        self.input = ""

    @classmethod
    def begin(cls, run: str, stage: str) -> WorkerLog:
        """Have this process log so, to stderr, which Ray keeps in a file a worker."""
        formatter = cls(run, stage)
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
        return formatter

    def format(self, record: logging.LogRecord) -> str:
        said = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps({"time": _now(), **self._ids, "input": self.input, **said}, ensure_ascii=False)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

"""The journal: a line an event, each with the id of its run; workers' logs have the same ids."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.journal import Journal, WorkerLog
from pipeline.errors import Reason
from pipeline.ledger import LedgerRow, Status


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def row(status: Status, reason: Reason | None = None, message: str = "") -> LedgerRow:
    return LedgerRow(
        input="a.mp4",
        status=status,
        reason=reason,
        message=message,
        tracks=1,
        frames=12,
        seconds=1.23456,
        tracking=0.5,
    )


def test_a_run_begins_tells_of_each_input_and_ends(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    with journal.of("preprocess", clips=2):
        journal.ended("WriteClip", "a/v/c", row(Status.DONE))
        journal.ended("WriteClip", "b/v/c", row(Status.FAILED, Reason.UNREADABLE, "b.mp4: 名 no video"))
    begin, done, failed, end = lines(tmp_path / "log.jsonl")
    assert {line["run"] for line in (begin, done, failed, end)} == {journal.run}
    assert (begin["event"], begin["command"], begin["clips"]) == ("begin", "preprocess", 2)
    assert (end["event"], end["seconds"] >= 0) == ("end", True)
    del done["time"], done["run"]
    assert done == {"event": "done", "input": "a/v/c", "stage": "WriteClip", "seconds": 1.235, "frames": 12}
    assert (failed["event"], failed["reason"], failed["message"]) == ("failed", Reason.UNREADABLE, "b.mp4: 名 no video")


def test_a_run_broken_off_says_by_what_and_the_next_one_has_another_id(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with pytest.raises(SystemExit), Journal(path).of("render"):
        sys.exit(15)
    with Journal(path).of("render"):
        pass
    first, broken, second, end = lines(path)
    assert (broken["event"], broken["reason"], broken["message"]) == ("broken off", "SystemExit", "15")
    assert first["run"] == broken["run"] != second["run"] == end["run"]


def test_a_workers_log_says_which_input_of_which_run_it_is_about() -> None:
    log = WorkerLog("run-7", "WriteClip")
    log.input = "a/v/c"
    record = logging.LogRecord("pipeline.decoder", logging.WARNING, "decoder.py", 1, "%s hangs", ("a.mp4",), None)
    line = json.loads(log.format(record))
    del line["time"]
    assert line == {
        "run": "run-7",
        "stage": "WriteClip",
        "input": "a/v/c",
        "level": "WARNING",
        "logger": "pipeline.decoder",
        "message": "a.mp4 hangs",
    }

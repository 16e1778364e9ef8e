"""The actors of `render` on Ray: one prepares inputs, one draws pictures, one writes videos out of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from jobs.journal import WorkerLog
from jobs.ray_stage import Failed
from jobs.stage_metrics import Counted, StageMetrics
from pipeline.driving import Driving
from pipeline.errors import InputError
from pipeline.performance import Performance
from pipeline.portrait import Portrait
from pipeline.render import Stage
from pipeline.render_ledger import RenderRow
from pipeline.render_plan import RenderJob
from pipeline.render_stages import Generate, Prepare, RenderConfig, View, Write
from pipeline.threads import limit_threads

CHUNK = 32
"""Frames that a generator is asked for at once."""
LONG = 64
"""Chunks from which on a job is shared out to all generators, each of which then encodes its source."""
_AHEAD = 2
"""Chunks that a writer has asked for beyond the one that it encodes."""


class _Worker:
    """An actor with a stage."""

    def __init__(self, run: str, stage: str) -> None:
        limit_threads(1)
        self._log = WorkerLog.begin(run, stage)
        self._metrics = StageMetrics(stage)

    def ready(self) -> None:
        """Returns when the stage is built."""

    def _counted(self, name: str, work: Callable[[], Any]) -> Any:
        """What the work on an input comes to."""
        self._log.input = name
        start = time.perf_counter()
        result = work()
        self._metrics.add(time.perf_counter() - start, [Counted.of(result)])
        return result


class Preparer(_Worker):
    """Input -> portrait or driving."""

    def __init__(self, config: RenderConfig, run: str) -> None:
        super().__init__(run, "prepare")
        self._stage = Prepare(config)

    def prepare(self, role: str, name: str) -> tuple[Failed | None, Portrait | Driving | None]:
        """What is wrong with an input, and the input."""
        result = self._counted(name, lambda: self._prepared(role, name))
        return (result, None) if isinstance(result, Failed) else (None, result)

    def _prepared(self, role: str, name: str) -> Portrait | Driving | Failed:
        try:
            return self._stage.source(name) if role == "source" else self._stage.driving(name)
        except InputError as error:
            return Failed(error.reason, error.message)


class Generator(_Worker):
    """Codes of a chunk -> its pictures."""

    def __init__(self, config: RenderConfig, device: str, run: str) -> None:
        super().__init__(run, "generate")
        self._stage = Generate(config, device)

    def pictures(self, view: View, stage: list[Any], performance: Performance) -> NDArray[np.uint8]:
        """stage: a reference to it, in a list, so that it is fetched only where it is needed."""
        return self._counted(view.source, lambda: self._stage(view, lambda: ray.get(stage[0]), performance))

    def encoded(self) -> int:
        return self._stage.encoded


class Writer(_Worker):
    """Job -> its video and row; asks generators for the pictures."""

    def __init__(self, config: RenderConfig, out: Path, run: str) -> None:
        super().__init__(run, "write")
        self._stage = Write(config, out)

    def write(self, job: RenderJob, portrait: Portrait, driving: Driving, generators: list[Any]) -> RenderRow:
        """generators: the source's own first."""

        def pictures(view: View, stage: Stage, performance: Performance) -> Iterator[NDArray[np.uint8]]:
            return _pictures(generators, view, ray.put(stage), performance)

        return self._counted(job.output, lambda: self._stage(job, portrait, driving, pictures))


def _pictures(generators: list[Any], view: View, stage: Any, performance: Performance) -> Iterator[NDArray[np.uint8]]:
    """One by one; a few chunks of them are in memory or on their way."""
    chunks = [slice(start, start + CHUNK) for start in range(0, len(performance), CHUNK)]
    takers = generators if len(chunks) >= LONG else generators[:1]
    asked: deque[Any] = deque()
    for number, rows in enumerate(chunks):
        taker = takers[number % len(takers)]
        asked.append(taker.pictures.remote(view, [stage], performance.rows(rows)))
        if len(asked) > _AHEAD:
            yield from ray.get(asked.popleft())
    while asked:
        yield from ray.get(asked.popleft())

"""The graph of `render` on Ray: inputs are prepared on CPUs, pictures drawn on GPUs, videos written on CPUs.

    source  ──► prepare ──┐
                          ├──► write ──► video and row
    driving ──► prepare ──┘    │   ▲
                      codes of ▼   │ their
                      a chunk  generate  pictures

Each source and each driver is prepared once, whoever shares it. A job is written as one stream from its first frame to
its last, so that nothing has to be joined; the writer asks for the next chunks while it encodes one, and never holds
more than a few. A long job's chunks go to all generators in turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ray
from numpy.typing import NDArray
from ray.exceptions import RayActorError, RayTaskError

from jobs.ray_stage import RETRIES, Failed
from pipeline.driving import Driving
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.performance import Performance
from pipeline.portrait import Portrait
from pipeline.render import Take
from pipeline.render_ledger import RenderRow
from pipeline.render_plan import RenderJob
from pipeline.render_stages import Generate, Prepare, RenderConfig, View, Write
from pipeline.threads import limit_threads

CHUNK = 32
"""Frames that a generator is asked for at once."""
LONG = 64
"""Chunks from which on a job is shared out to all generators, each of which then encodes its source."""
_FEW = 2
"""Sources a generator, below which jobs go round instead, and each generator encodes every source."""
_AHEAD = 2
_LOOK_AHEAD = 8


class Resources(NamedTuple):
    """What a cluster offers: CPUs, of which there is at least one, and GPUs, of which there may be none."""

    cpus: int
    gpus: int

    @classmethod
    def of_cluster(cls) -> Resources:
        found = ray.cluster_resources()
        return cls(max(int(found.get("CPU", 1)), 1), int(found.get("GPU", 0)))


class Counts(NamedTuple):
    """How often what jobs share was done: inputs prepared; views of sources encoded, by all generators together."""

    prepared: int
    encoded: int

    def __str__(self) -> str:
        return f"{self.prepared} inputs prepared, {self.encoded} source encodings"


class RenderGraph:
    """Jobs in, rows out, in no order. Needs a `cluster`.

    A task whose worker dies is tried again `RETRIES` times; then its jobs are given up.
    """

    def __init__(self, config: RenderConfig, out: Path, resources: Resources) -> None:
        """out: the folder of the results.

        Raises what loading the model raises: CheckpointError, FaceModelError, PipelineError.
        """
        cpus, gpus = resources
        actor = ray.remote(max_restarts=-1, max_task_retries=RETRIES)
        if config.model.checkpoint is not None and gpus:  # they generate, and all CPUs are for the others
            share, generators = 0.5, gpus
            make = actor(_Generator).options(num_cpus=0, num_gpus=1)
        else:
            share, generators = 0.25, cpus
            make = actor(_Generator).options(num_cpus=0.5)
        device = "cuda" if share == 0.5 else "cpu"
        self._generators: list[Any] = [make.remote(config, device) for _ in range(generators)]
        self._preparers = _Pool(lambda: actor(_Preparer).options(num_cpus=share).remote(config), cpus)
        self._writers = _Pool(lambda: actor(_Writer).options(num_cpus=share).remote(config, out), cpus)
        self._inputs: dict[_Input, Any] = {}  # what is wrong with it, or where it is
        self._values: dict[Any, Any] = {}  # where an input will be, by where its fault will be
        self._asked: set[_Input] = set()
        self._homes: dict[str, int] = {}
        self._load()

    def _load(self) -> None:
        """Wait for the models."""
        try:
            ray.get([generator.ready.remote() for generator in self._generators])
        except RayActorError as error:
            raise getattr(error, "cause", None) or PipelineError(str(error)) from None

    def counts(self) -> Counts:
        encoded = sum(ray.get([generator.encoded.remote() for generator in self._generators]))
        return Counts(prepared=len(self._inputs), encoded=encoded)

    def __call__(self, jobs: Sequence[RenderJob]) -> Iterator[RenderRow]:
        """The row of each job, as soon as there is one. Jobs of one source had better follow one another."""
        self._few_sources = len({job.source for job in jobs}) < _FEW * len(self._generators)
        waiting = iter(jobs)
        wanted: deque[_Input] = deque()
        upcoming: list[RenderJob] = []
        while True:
            for job in islice(waiting, _LOOK_AHEAD * self._writers.size - len(upcoming)):
                upcoming.append(job)
                wanted.extend(item for item in _inputs(job) if item not in self._asked)
                self._asked.update(_inputs(job))
            while wanted and self._preparers.idle:
                self._prepare(wanted.popleft())
            for job in list(upcoming):
                prepared = [self._inputs.get(item) for item in _inputs(job)]
                if lack := next((it for it in prepared if isinstance(it, Failed)), None):
                    yield RenderRow.without(job, lack.reason, lack.message)
                elif None not in prepared and self._writers.idle:
                    self._write(job, *prepared)
                else:
                    continue
                upcoming.remove(job)
            busy = [*self._preparers.busy, *self._writers.busy]
            if busy:
                yield from self._taken(ray.wait(busy, num_returns=1)[0][0])
            elif not upcoming:
                return

    def _prepare(self, item: _Input) -> None:
        def ask(preparer: Any) -> Any:
            lack, value = preparer.prepare.options(num_returns=2).remote(*item)
            self._values[lack] = value
            return lack

        self._preparers.send(item, ask)

    def _write(self, job: RenderJob, source: Any, driving: Any) -> None:
        place = job.output if self._few_sources else job.source
        home = self._homes.setdefault(place, len(self._homes)) % len(self._generators)
        generators = self._generators[home:] + self._generators[:home]
        self._writers.send(job, lambda writer: writer.write.remote(job, source, driving, generators))

    def _taken(self, done: Any) -> Iterator[RenderRow]:
        """Note what a task came to; the row, if it was a job."""
        if done in self._preparers.busy:
            item, lack = self._preparers.take(done)
            value = self._values.pop(done)
            self._inputs[item] = lack or value
        else:
            job, row = self._writers.take(done)
            yield RenderRow.without(job, row.reason, row.message) if isinstance(row, Failed) else row


class _Input(NamedTuple):
    role: str  # source or driving
    name: str


def _inputs(job: RenderJob) -> tuple[_Input, _Input]:
    return _Input("source", job.source), _Input("driving", job.driving)


class _Pool:
    """Actors of one kind, each with one task at a time, so that a death is that task's alone."""

    def __init__(self, make: Callable[[], Any], size: int) -> None:
        self.size = size
        self.idle = [make() for _ in range(size)]
        self.busy: dict[Any, tuple[Any, Any]] = {}

    def send(self, item: Any, ask: Callable[[Any], Any]) -> None:
        """Give an item to an idle actor. ask: calls the actor, and gives what its result will be found by."""
        actor = self.idle.pop()
        self.busy[ask(actor)] = item, actor

    def take(self, done: Any) -> tuple[Any, Any]:
        """The item of a finished task, and its result; `Failed` where that is an error which no stage foresaw."""
        item, actor = self.busy.pop(done)
        self.idle.append(actor)
        try:
            return item, ray.get(done)
        except RayActorError:
            return item, Failed(Reason.WORKER_DIED, f"{_name(item)}: its worker died {RETRIES + 1} times")
        except RayTaskError as error:
            return item, Failed(Reason.UNEXPECTED, f"{_name(item)}: unexpected {_said(error)}")


def _name(item: RenderJob | _Input) -> str:
    return item.output if isinstance(item, RenderJob) else item.name


def _said(error: RayTaskError) -> str:
    """The error's own words, without the trace of the worker."""
    return f"{type(error.cause).__name__}: {error.cause}"


class _Preparer:
    def __init__(self, config: RenderConfig) -> None:
        limit_threads(1)
        self._stage = Prepare(config)

    def prepare(self, role: str, name: str) -> tuple[Failed | None, Portrait | Driving | None]:
        """What is wrong with an input, and the input."""
        try:
            return None, self._stage.source(name) if role == "source" else self._stage.driving(name)
        except InputError as error:
            return Failed(error.reason, error.message), None


class _Generator:
    def __init__(self, config: RenderConfig, device: str) -> None:
        limit_threads(1)
        self._stage = Generate(config, device)

    def ready(self) -> None:
        """Returns when the model is loaded."""

    def pictures(self, view: View, take: list[Any], performance: Performance) -> NDArray[np.uint8]:
        """take: a reference to it, in a list, so that it is fetched only where it is needed."""
        return self._stage(view, lambda: ray.get(take[0]), performance)

    def encoded(self) -> int:
        return self._stage.encoded


class _Writer:
    def __init__(self, config: RenderConfig, out: Path) -> None:
        limit_threads(1)
        self._stage = Write(config, out)

    def write(self, job: RenderJob, portrait: Portrait, driving: Driving, generators: list[Any]) -> RenderRow:
        """generators: the source's own first."""

        def pictures(view: View, take: Take, performance: Performance) -> Iterator[NDArray[np.uint8]]:
            return _pictures(generators, view, ray.put(take), performance)

        return self._stage(job, portrait, driving, pictures)


def _pictures(generators: list[Any], view: View, take: Any, performance: Performance) -> Iterator[NDArray[np.uint8]]:
    """One by one; a few chunks of them are in memory or on their way."""
    chunks = [slice(start, start + CHUNK) for start in range(0, len(performance), CHUNK)]
    takers = generators if len(chunks) >= LONG else generators[:1]
    asked: deque[Any] = deque()
    for number, rows in enumerate(chunks):
        taker = takers[number % len(takers)]
        asked.append(taker.pictures.remote(view, [take], performance.rows(rows)))
        if len(asked) > _AHEAD:
            yield from ray.get(asked.popleft())
    while asked:
        yield from ray.get(asked.popleft())

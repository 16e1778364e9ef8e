"""The graph of `render` on Ray: inputs are prepared on CPUs, pictures drawn on GPUs, videos written on CPUs.

    source  ──► prepare ──┐
                          ├──► write ──► video and row
    driving ──► prepare ──┘    │   ▲
                      codes of ▼   │ their
                      a chunk  generate  pictures

Each source and each driver is prepared once, whoever shares it. A job is written as one stream from its first frame to
its last, so that nothing has to be joined; the writer asks for the next chunks while it encodes one, and never holds
more than a few. A long job's chunks go to all generators in turn.

Nodes come and go: pools follow the CPUs and GPUs that there are, nobody waits for an actor that has no place, and what
a lost node was at is done again elsewhere.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import ObjectLostError, RayActorError

from jobs.actor_pool import ActorPool
from jobs.ray_stage import RETRIES, Failed
from jobs.render_actors import Generator, Preparer, Writer
from pipeline.errors import Reason
from pipeline.render_ledger import RenderRow
from pipeline.render_plan import RenderJob
from pipeline.render_stages import RenderConfig

_FEW = 2
"""Sources a generator, below which jobs go round instead, and each generator encodes every source."""
_LOOK_AHEAD = 8
_GLANCE = 3.0
"""Seconds after which the driver looks again what the cluster offers."""
_PATIENCE = 30.0
"""Seconds that generators may take to load after the first has: those that find no place do not come."""


class Resources(NamedTuple):
    """What a cluster offers: CPUs, of which there is at least one, and GPUs, of which there may be none."""

    cpus: int
    gpus: int

    @classmethod
    def of_cluster(cls, most: int | None = None) -> Resources:
        """What there is now. most: CPUs that count."""
        found = ray.cluster_resources()
        cpus = max(int(found.get("CPU", 1)), 1)
        return cls(min(cpus, most or cpus), int(found.get("GPU", 0)))


class Counts(NamedTuple):
    """How often what jobs share was done: inputs prepared; views of sources encoded, by all generators together."""

    prepared: int
    encoded: int

    def __str__(self) -> str:
        return f"{self.prepared} inputs prepared, {self.encoded} source encodings"


class RenderGraph:
    """Jobs in, rows out, in no order. Needs a `cluster`.

    A task whose worker dies, or that of a generator which it needs, is tried again `RETRIES` times; then its jobs are
    given up.
    """

    def __init__(self, config: RenderConfig, out: Path, most: int | None = None, run: str = "") -> None:
        """out: the folder of the results. most: CPUs that are used; None for all, of nodes that join later too.
        run: its id, for the workers' logs.

        Raises what loading the model raises: CheckpointError, FaceModelError, PipelineError.
        """
        self._most = most
        self._resources, self._looked = Resources.of_cluster(most), time.monotonic()
        self._generates_on_gpus = config.model.checkpoint is not None and self._resources.gpus > 0
        if self._generates_on_gpus:  # and all CPUs are for the others
            share, generator, device = 0.5, ray.remote(Generator).options(num_cpus=0, num_gpus=1), "cuda"
        else:
            share, generator, device = 0.25, ray.remote(Generator).options(num_cpus=0.5), "cpu"
        self._generators = ActorPool(lambda: generator.remote(config, device, run), _name)
        self._preparers = ActorPool(lambda: ray.remote(Preparer).options(num_cpus=share).remote(config, run), _name)
        self._writers = ActorPool(lambda: ray.remote(Writer).options(num_cpus=share).remote(config, out, run), _name)
        self._inputs: dict[_Input, Any] = {}  # what is wrong with it, or where it is
        self._values: dict[Any, Any] = {}  # where an input will be, by where its fault will be
        self._prepared = 0
        self._wanted: deque[_Input] = deque()
        self._asked: set[_Input] = set()
        self._upcoming: list[RenderJob] = []
        self._deaths: Counter[RenderJob | _Input] = Counter()
        self._homes: dict[str, int] = {}
        self._resize()
        self._load()

    def _load(self) -> None:
        """Wait for the models: the first of them, and then a while for the others."""
        timeout = None
        while starting := list(self._generators.starting):
            done, _ = ray.wait(starting, timeout=timeout)
            if not done:
                return
            self._generators.started(done[0])
            if not self._generators.idle:
                self._resize()
            else:
                timeout = _PATIENCE

    def _resize(self) -> None:
        """Have as many actors as the cluster has room for."""
        if time.monotonic() - self._looked > _GLANCE:
            self._resources, self._looked = Resources.of_cluster(self._most), time.monotonic()
        cpus, gpus = self._resources
        self._generators.resize(max(gpus, 1) if self._generates_on_gpus else cpus)
        self._preparers.resize(cpus)
        self._writers.resize(cpus)

    def counts(self) -> Counts:
        encoded = 0
        for generator in self._generators.idle:
            try:
                encoded += ray.get(generator.encoded.remote())
            except RayActorError:  # and what it knew is gone with it
                continue
        return Counts(prepared=self._prepared, encoded=encoded)

    def __call__(self, jobs: Sequence[RenderJob]) -> Iterator[RenderRow]:
        """The row of each job, as soon as there is one. Jobs of one source had better follow one another."""
        sources, waiting = len({job.source for job in jobs}), iter(jobs)
        while True:
            self._few_sources = sources < _FEW * len(self._generators)
            fresh = list(islice(waiting, max(_LOOK_AHEAD * len(self._writers) - len(self._upcoming), 0)))
            for job in fresh:
                self._upcoming.append(job)
                self._want(job)
            while self._wanted and self._preparers.idle:
                self._prepare(self._wanted.popleft())
            for job in list(self._upcoming):
                prepared = [self._inputs.get(item) for item in _inputs(job)]
                if lack := next((it for it in prepared if isinstance(it, Failed)), None):
                    yield RenderRow.without(job, lack.reason, lack.message)
                elif None not in prepared and self._writers.idle and self._generators.idle:
                    self._write(job, *prepared)
                else:
                    continue
                self._upcoming.remove(job)
            if awaited := self._awaited():
                for done in ray.wait(awaited, timeout=_GLANCE)[0]:
                    if row := self._taken(done):
                        yield row
            elif not fresh:
                return
            self._resize()

    def _pools(self) -> tuple[ActorPool, ActorPool, ActorPool]:
        return self._generators, self._preparers, self._writers

    def _awaited(self) -> list[Any]:
        """What is under way; nothing where there is nothing left to do."""
        busy = [*self._preparers.busy, *self._writers.busy]
        starting = [ref for pool in self._pools() for ref in pool.starting]
        return [*busy, *starting] if busy or self._upcoming else []

    def _want(self, job: RenderJob) -> None:
        """Have its inputs prepared that nobody has asked for yet."""
        missing = [item for item in _inputs(job) if item not in self._asked]
        self._wanted.extend(missing)
        self._asked.update(missing)

    def _prepare(self, item: _Input) -> None:
        def ask(preparer: Any) -> Any:
            lack, value = preparer.prepare.options(num_returns=2).remote(*item)
            self._values[lack] = value
            return lack

        self._preparers.send(item, ask)

    def _write(self, job: RenderJob, source: Any, driving: Any) -> None:
        place = job.output if self._few_sources else job.source
        ready = self._generators.idle
        home = self._homes.setdefault(place, len(self._homes)) % len(ready)
        generators = ready[home:] + ready[:home]
        self._writers.send(job, lambda writer: writer.write.remote(job, source, driving, generators))

    def _taken(self, done: Any) -> RenderRow | None:
        """Note what a task came to; the row, if it was a job."""
        for pool in self._pools():
            if done in pool.starting:
                pool.started(done)
                return None
        if done in self._preparers.busy:
            item, lack = self._preparers.take(done)
            value = self._values.pop(done)
            if self._is_tried_again(item, lack):
                self._wanted.append(item)
            else:
                self._prepared += 1
                self._inputs[item] = lack or value
            return None
        job, row = self._writers.take(done)
        if self._is_tried_again(job, row):
            self._forget_lost_inputs(job)
            self._want(job)
            self._upcoming.append(job)
            return None
        return RenderRow.without(job, row.reason, row.message) if isinstance(row, Failed) else row

    def _is_tried_again(self, item: RenderJob | _Input, result: Any) -> bool:
        """Whether an item is, because somebody died, and not too often. Then others may have died with them."""
        if not (isinstance(result, Failed) and result.reason == Reason.WORKER_DIED):
            return False
        self._deaths[item] += 1
        self._looked = 0.0
        self._generators.doubt()
        return self._deaths[item] <= RETRIES

    def _forget_lost_inputs(self, job: RenderJob) -> None:
        """Have those prepared anew that lay on a node which is gone."""
        for item in _inputs(job):
            value = self._inputs.get(item)
            if value is not None and not isinstance(value, Failed) and not _is_there(value):
                del self._inputs[item]
                self._asked.discard(item)


class _Input(NamedTuple):
    role: str  # source or driving
    name: str


def _inputs(job: RenderJob) -> tuple[_Input, _Input]:
    return _Input("source", job.source), _Input("driving", job.driving)


def _is_there(value: Any) -> bool:
    """Whether a value can still be had."""
    try:
        ray.get(value)
    except ObjectLostError:
        return False
    return True


def _name(item: RenderJob | _Input) -> str:
    return item.output if isinstance(item, RenderJob) else item.name

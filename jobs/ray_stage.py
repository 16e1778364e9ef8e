"""Stages on Ray Data: a plain class and its config become a pool of workers, and nothing that happens there is lost.

A stage knows nothing of Ray. It is built from its config on its worker and called with one value: what it returns is
handed on, and where it is a generator, each value that it yields. Values travel with the key of the item that they come
from.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import floor
from typing import Any, NamedTuple

import ray
from ray.data import ActorPoolStrategy, DataContext, ExecutionResources
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.journal import WorkerLog
from jobs.stage_metrics import Counted, StageMetrics
from pipeline.errors import PipelineError, Reason
from pipeline.threads import limit_threads

log = logging.getLogger(__name__)

RETRIES = 2
"""How often an item is tried again whose worker died with it."""
_BLOCK_BYTES = 16 << 20
_WAVE = 10_000
"""Items that Ray Data plans at once: what its driver remembers of each would fill the memory in a run of millions."""

Row = dict[str, Any]


class Failed(NamedTuple):
    """What an item became that no stage foresaw: unexpected, or worker_died."""

    reason: Reason
    message: str


class TooManyFailedError(PipelineError):
    """More items failed than the user accepts."""


@dataclass
class FailureLimit:
    """Stops a run with too many failures. most: how many are accepted; None for any number."""

    most: int | None = None
    count: int = 0

    def failed(self, message: str) -> None:
        """Count a failure. Raises TooManyFailedError past the limit."""
        self.count += 1
        if self.most is not None and self.count > self.most:
            raise TooManyFailedError(f"stopped after {self.count} failed inputs (--max-failed {self.most}): {message}")


@dataclass(frozen=True, kw_only=True)
class RayStage:
    """A stage, and what one worker of its pool asks for.

    stage: built as `stage(config)`, both picklable. num_cpus: share of a core, of which a worker of each stage of a
    graph has one together. num_gpus: share of a GPU; less where the workers share fewer, and none where there is none.
    """

    stage: Callable[[Any], Callable[[Any], Any]]
    config: Any
    num_cpus: float
    num_gpus: float = 0.0


def run_stages(
    items: Iterable[tuple[str, Any]],
    stages: Sequence[RayStage],
    *,
    workers: int | None = None,
    bytes_in_flight: int = 1 << 29,
    limit: FailureLimit | None = None,
    run: str = "",
) -> Iterator[tuple[str, Any]]:
    """Send items (key and value) through the stages; yields key and value of what comes out, in no order.

    An exception in a stage gives `Failed` in place of the item, which no later stage sees. An item whose worker dies is
    tried again `RETRIES` times, and then is `Failed` too.
    workers: of each stage, at most; None is one a core, of nodes that join later too. A pool gives workers back while
    it has less to do, or where a node was lost. bytes_in_flight: of values between stages, beyond which earlier stages
    wait for later ones. run: its id, for the workers' logs.
    Needs a `cluster`. Raises TooManyFailedError when more than `limit` failed.
    """
    attempts = _attempts()
    items = iter(items)
    try:
        while wave := list(islice(items, _WAVE)):
            found = ray.cluster_resources()
            cpus, gpus = max(found.get("CPU", 1), 1), found.get("GPU", 0)
            count = min(workers or int(cpus), len(wave))
            share = min(1.0, cpus / count) / sum(stage.num_cpus for stage in stages)
            rows = [{"key": key, "value": pickle.dumps(value)} for key, value in wave]
            data = _dataset(rows, bytes_in_flight)
            for number, stage in enumerate(stages):
                data = data.flat_map(
                    _Worker,
                    fn_constructor_args=(stage.stage, stage.config, number, attempts, run),
                    compute=ActorPoolStrategy(
                        min_size=1,
                        initial_size=count,
                        max_size=min(workers or _WAVE, len(wave)),
                        max_tasks_in_flight_per_actor=2,
                    ),
                    num_cpus=floor(1000 * share * stage.num_cpus) / 1000,
                    num_gpus=min(stage.num_gpus, gpus / count) or None,
                )
            for row in data.iter_rows():
                value = pickle.loads(row["value"])
                if limit and isinstance(value, Failed):
                    limit.failed(value.message)
                yield row["key"], value
    finally:  # Ray Data remembers what it had to do, and with it the actor, as long as this process is connected
        if ray.is_initialized():
            ray.kill(attempts)


def _dataset(rows: list[Row], bytes_in_flight: int) -> ray.data.Dataset:
    """A block a row, so that a worker's death costs one item only."""
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = _BLOCK_BYTES
    context.execution_options.resource_limits = ExecutionResources.for_limits(object_store_memory=bytes_in_flight)
    return ray.data.from_items(rows, override_num_blocks=len(rows))


class _Worker:
    """A stage in its actor."""

    def __init__(
        self, stage: Callable[[Any], Callable[[Any], Any]], config: Any, number: int, attempts: Any, run: str
    ) -> None:
        limit_threads(1)
        self._log = WorkerLog.begin(run, stage.__name__)
        self._metrics = StageMetrics(stage.__name__)
        self._stage = stage(config)
        self._number, self._attempts = number, attempts

    def __call__(self, row: Row) -> Iterator[Row]:
        key, value = row["key"], pickle.loads(row["value"])
        if isinstance(value, Failed):
            yield row
            return
        self._log.input = key
        attempt = (self._number, key, hashlib.blake2b(row["value"], digest_size=8).digest())
        start, outcomes = time.perf_counter(), []
        for result in self._results(key, value, attempt):
            outcomes.append(Counted.of(result))
            yield {"key": key, "value": pickle.dumps(result)}
        self._metrics.add(time.perf_counter() - start, outcomes)

    def _results(self, key: str, value: Any, attempt: tuple[Any, ...]) -> Iterator[Any]:
        """What the stage makes of a value. The one place where any exception is caught: it belongs to this item."""
        deaths = ray.get(self._attempts.begin.remote(attempt))
        if deaths > RETRIES:
            yield Failed(Reason.WORKER_DIED, f"{key}: its worker died {deaths} times")
            return
        if deaths:
            log.warning("begun again: %d workers died with it", deaths)
        try:
            result = self._stage(value)
            yield from result if isinstance(result, Iterator) else [result]
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename}:{where.lineno}"
            log.exception("unexpected")
            yield Failed(Reason.UNEXPECTED, f"{key}: unexpected {type(error).__name__}: {error} ({place})")
        ray.get(self._attempts.end.remote(attempt))


def _attempts() -> Any:
    """`_Attempts` on the node of this process: any other may be lost. If it dies itself, it begins again and forgets:
    then an item may be tried more often than stated, but the run goes on."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return _Attempts.options(  # type: ignore[attr-defined]
        num_cpus=0, scheduling_strategy=here, max_restarts=-1, max_task_retries=-1
    ).remote()


@ray.remote
class _Attempts:
    """Which items are being worked on, and how often each was begun before without an end."""

    def __init__(self) -> None:
        self._begun: Counter[tuple[Any, ...]] = Counter()

    def begin(self, attempt: tuple[Any, ...]) -> int:
        """Returns how many workers died with it."""
        self._begun[attempt] += 1
        return self._begun[attempt] - 1

    def end(self, attempt: tuple[Any, ...]) -> None:
        self._begun.pop(attempt, None)

"""Actors of one kind on a cluster whose nodes come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

from jobs.ray_stage import RETRIES, Failed
from pipeline.errors import PipelineError, Reason

_STILLBORN = 10
"""How often all actors of a pool may die before one of them is ready, upon which the run ends."""


class ActorPool:
    """Actors of one kind, each with one task at a time, so that a death is that task's alone.

    idle, busy: those that are ready. starting: those that have not said so yet.
    """

    def __init__(self, make: Callable[[], Any], name: Callable[[Any], str]) -> None:
        """make: begins an actor, whose method `ready` returns once it is. name: what an item is called in messages."""
        self._make, self._name = make, name
        self._size = self._stillborn = 0
        self._doubted: set[Any] = set()
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, Any]] = {}
        self.starting: dict[Any, Any] = {}

    def __len__(self) -> int:
        return len(self.idle) + len(self.busy) + len(self.starting)

    def resize(self, size: int) -> None:
        """Ask for what lacks of so many actors, and let those go that are too many and have nothing to do."""
        self._size = size
        while len(self) < size:
            actor = self._make()
            self.starting[actor.ready.remote()] = actor
        while len(self) > size and self.starting:
            self.starting.popitem()
        while len(self) > size and self.idle:
            self.idle.pop()

    def doubt(self) -> None:
        """Ask those that are idle whether they are still there."""
        asked = {actor.ready.remote(): actor for actor in self.idle}
        self._doubted.update(asked)
        self.starting |= asked
        self.idle.clear()

    def started(self, done: Any) -> None:
        """Count an actor in that is ready, or out if it died. Raises what its stage raised when it was built."""
        actor, had_been_ready = self.starting.pop(done), done in self._doubted
        self._doubted.discard(done)
        try:
            ray.get(done)
        except RayActorError as error:
            self._stillborn += not had_been_ready
            if error.actor_init_failed or self._stillborn >= _STILLBORN * self._size:
                raise getattr(error, "cause", None) or PipelineError(str(error)) from None
        else:
            self._stillborn = 0
            self.idle.append(actor)

    def send(self, item: Any, ask: Callable[[Any], Any]) -> None:
        """Give an item to an idle actor. ask: calls the actor, and gives what its result will be found by."""
        actor = self.idle.pop()
        self.busy[ask(actor)] = item, actor

    def take(self, done: Any) -> tuple[Any, Any]:
        """The item of a finished task, and its result; `Failed` where that is an error which no stage foresaw.

        That is `WORKER_DIED` where the actor died, or one that it needed, or something was lost that it needed.
        """
        item, actor = self.busy.pop(done)
        name = self._name(item)
        died = Failed(Reason.WORKER_DIED, f"{name}: its worker died {RETRIES + 1} times")
        try:
            result = ray.get(done)
        except RayTaskError as error:  # which may be one of those below at the same time, and the actor lives
            unexpected = Failed(Reason.UNEXPECTED, f"{name}: unexpected {_said(error)}")
            result = died if isinstance(error.cause, RayActorError | ObjectLostError) else unexpected
        except RayActorError:
            return item, died
        except ObjectLostError:
            result = died
        self.idle.append(actor)
        return item, result


def _said(error: RayTaskError) -> str:
    """The error's own words, without the trace of the worker."""
    return f"{type(error.cause).__name__}: {error.cause}"

"""Several processes that train one model on slices of one batch: what they share, by `torch.distributed`.

Each process computes the loss of its own slice; the loss of the whole batch is their mean. Without a process group
there is one process, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist


def processes() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if processes() > 1 else 0


@torch.no_grad()
def average(tensors: Sequence[Tensor]) -> None:
    """Give the tensors, of one type, their mean over the processes, in place; one message for all of them."""
    if processes() == 1 or not tensors:
        return
    joined = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(joined)
    parts = (joined / processes()).split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


BUCKET = 8_000_000
"""Numbers that leave together: enough that sending takes longer than beginning to send."""


class GradientAverage:
    """Gives gradients, of one type, their mean over the processes while a backward pass still makes others.

        with average.during_backward():
            loss.backward()
        ...  # work of any other kind
        average.wait()

    The last parameters come first, as they do in a backward pass. Buckets leave in the same order in all processes,
    through a process group of their own, lest the messages of a batch norm wait behind them.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], bucket: int = BUCKET) -> None:
        self._buckets: list[list[nn.Parameter]] = [[]]
        for parameter in reversed(list(parameters)):
            if sum(p.numel() for p in self._buckets[-1]) >= bucket:
                self._buckets.append([])
            self._buckets[-1].append(parameter)
        self._sent: list[tuple[list[nn.Parameter], Tensor, Any]] = []

    @contextmanager
    def during_backward(self) -> Iterator[None]:
        """Within, each bucket leaves once its last gradient is there; what has no gradient by the end stays behind."""
        if processes() == 1:
            yield
            return
        _gradients_group(dist.group.WORLD)
        missing = [{id(p) for p in bucket} for bucket in self._buckets]
        place = {id(p): number for number, bucket in enumerate(self._buckets) for p in bucket}

        def arrived(parameter: Tensor) -> None:
            missing[place[id(parameter)]].discard(id(parameter))
            while len(self._sent) < len(missing) and not missing[len(self._sent)]:
                self._send()

        hooks = [p.register_post_accumulate_grad_hook(arrived) for bucket in self._buckets for p in bucket]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        while len(self._sent) < len(self._buckets):
            self._send()

    @torch.no_grad()
    def _send(self) -> None:
        bucket = [p for p in self._buckets[len(self._sent)] if p.grad is not None]
        joined = torch.cat([cast(Tensor, p.grad).flatten() for p in bucket]) if bucket else torch.empty(0)
        work = dist.all_reduce(joined, group=_gradients_group(dist.group.WORLD), async_op=True) if bucket else None
        self._sent.append((bucket, joined, work))

    @torch.no_grad()
    def wait(self) -> None:
        """Until the means are there. The gradients are then parts of their buckets."""
        for bucket, joined, work in self._sent:
            if work is not None:
                work.wait()
            joined /= processes()
            for parameter, part in zip(bucket, joined.split([p.numel() for p in bucket]), strict=True):
                parameter.grad = part.view_as(parameter)
        self._sent = []


@cache
def _gradients_group(_: Any) -> Any:
    """The process group of gradients, beside that of all messages; all processes ask for it at the same moment."""
    return dist.new_group()


def sum_over_processes(x: Tensor) -> Tensor:
    """Their sum, in every process; the gradient of each summand is that of the sum of all processes' losses."""
    return cast(Tensor, _Sum.apply(x))


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total

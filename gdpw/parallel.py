"""Several processes that train one model on slices of one batch: what they share, by `torch.distributed`.

Each process computes the loss of its own slice; the loss of the whole batch is their mean. Without a process group
there is one process, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
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
    if processes() == 1:
        return
    joined = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(joined)
    parts = (joined / processes()).split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


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

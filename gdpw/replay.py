"""Work that is the same again and again, recorded once as a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import torch
from torch import Tensor

WARM_UP = 3
"""Calls before the recording: libraries choose their algorithms and compilers compile in them."""

Result = TypeVar("Result")
Record = Callable[[Callable[[], Result]], tuple[Callable[[], None], Result]]


class Replay(Generic[Result]):
    """A function of tensors, or None in their place, that always have the same shapes; its results have no history.

    It may make backward passes: they leave gradients in `parameters`, which have none before a call, and those of its
    arguments are handed on to where these came from. The first calls run it as it is; then it is recorded, and from
    then on its kernels are replayed without Python's help. What it returns is overwritten by the next call.
    What it launches on a GPU must not depend on anything else that changes but the contents of tensors that stay where
    they are.
    """

    def __init__(
        self, function: Callable[..., Result], parameters: Iterable[Tensor], record: Record[Result] | None = None
    ) -> None:
        """record: what records; None is `record_graph`."""
        self._function, self._parameters = function, list(parameters)
        self._record = record or record_graph
        self._arguments: list[Tensor | None] = []
        self._calls = 0
        self._replay: Callable[[], None] | None = None
        self._result: Result
        self._gradients: list[tuple[Tensor, Tensor]] = []

    def __call__(self, *given: Tensor | None) -> Result:
        """Raises ValueError for other shapes than before."""
        self._take(given)
        if self._replay is None and self._calls < WARM_UP:
            self._calls += 1
            result = self._aside(self._run)
        else:
            result = self._replayed()
        heads = [
            (tensor, own.grad)
            for tensor, own in zip(given, self._arguments, strict=True)
            if tensor is not None and tensor.requires_grad and own is not None and own.grad is not None
        ]
        if heads:
            torch.autograd.backward([head for head, _ in heads], [gradient for _, gradient in heads])
        return result

    def _take(self, given: tuple[Tensor | None, ...]) -> None:
        """Copy what is given to where the recorded kernels look for it."""
        if not self._arguments:
            self._arguments = [x if x is None else x.detach().clone().requires_grad_(x.requires_grad) for x in given]
            return
        shapes, own = ([x if x is None else x.shape for x in tensors] for tensors in (given, self._arguments))
        if shapes != own:
            raise ValueError(f"what is replayed as a CUDA graph takes one shape of each tensor, {own}, not {shapes}")
        with torch.no_grad():
            for mine, x in zip(self._arguments, given, strict=True):
                if mine is not None and x is not None:
                    mine.copy_(x)

    def _run(self) -> Result:
        for mine in self._arguments:
            if mine is not None:
                mine.grad = None
        return self._function(*self._arguments)

    def _aside(self, function: Callable[[], Result]) -> Result:
        """On another stream of a GPU, as the recording will be: gradients remember the stream they come from."""
        device = next(x.device for x in self._arguments if x is not None)
        if device.type != "cuda":
            return function()
        main, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)
        aside.wait_stream(main)
        with torch.cuda.stream(aside):
            result = function()
        main.wait_stream(aside)
        return result

    def _replayed(self) -> Result:
        if self._replay is None:
            self._replay, self._result = self._record(self._run)
            self._gradients = [(p, p.grad) for p in self._parameters if p.grad is not None]
        self._replay()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        return self._result


def record_graph(function: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
    """Record what `function` launches on the current GPU, without doing it. Returns what does it, and where its results
    will be.

    Other threads may go on using the GPU meanwhile.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = function()
    return graph.replay, result

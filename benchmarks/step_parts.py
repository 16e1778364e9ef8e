"""Where the time of a training step goes: the kernels of the GPU, by phase, by kind and one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function

import gdpw.losses
import gdpw.training
from gdpw.training import TrainStep

KINDS = {
    "messages between GPUs": ("nccl",),
    "drawing": ("rasterkernel", "rasterize", "trianglesetup", "interpolatefwd", "interpolategrad", "antialias"),
    "optimisers, average": ("multi_tensor", "fusedadam", "lerp"),
    "warps": ("grid_sampler",),
    "batch norm": ("batch_norm", "bn_fw", "bn_bw", "batchnorm"),
    "convolutions, products": (
        "conv",
        "xmma",
        "cudnn",
        "cutlass",
        "gemm",
        "gemv",
        "wgrad",
        "dgrad",
        "nvjet",
        "dot_kernel",
    ),
    "copies": ("memcpy", "memset", "copy"),
    "compiled, sums": ("triton_red", "triton_per"),
    "compiled, elementwise": ("triton",),
    "pools": ("pool",),
    "sums": ("reduce",),
    "elementwise": ("elementwise",),
}
"""Kind -> what the names of its kernels have in them; the first that fits."""


class Span(NamedTuple):
    """A kernel, or a phase: when it began and ended, in microseconds."""

    name: str
    start: float
    end: float


def parts_of(step: TrainStep, batches: Sequence[tuple[Tensor, ...]]) -> Iterator[str]:
    """Lines that say where the time of these steps goes; `step` is warm. batches: pictures and meshes."""
    kernels, _ = profiled(step, batches)
    kinds, names, calls = Counter[str](), Counter[str](), Counter[str]()
    for kernel in kernels:
        taken = (kernel.end - kernel.start) / 1000 / len(batches)
        kinds[kind_of(kernel.name)] += taken
        names[kernel.name] += taken
        calls[kernel.name] += 1
    yield f"  {sum(kinds.values()):9.2f} ms a step in {len(kernels) / len(batches):.0f} kernels"
    yield from (f"  {taken:9.2f} ms  {name}" for name, taken in kinds.most_common())
    for name, taken in names.most_common(20):
        yield f"      {taken:9.3f} ms {calls[name] / len(batches):7.1f} times  {name[:110]}"
    if step.config.graphed:
        return
    with phases_marked(step):
        kernels, spans = profiled(step, batches)
    phases = Counter[str]()
    for kernel in kernels:
        around = [span for span in spans if span.start <= kernel.start < span.end]
        inmost = min(around, key=lambda span: span.end - span.start).name if around else "phase: the rest"
        phases[inmost] += (kernel.end - kernel.start) / 1000 / len(batches)
    yield from (f"  {taken:9.2f} ms  {name}" for name, taken in phases.most_common())


def kind_of(kernel: str) -> str:
    lower = kernel.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in lower for part in parts)), "others")


def profiled(step: TrainStep, batches: Sequence[tuple[Tensor, ...]]) -> tuple[list[Span], list[Span]]:
    """The kernels of these steps, on a CPU its operations, and the phases that were marked."""
    on_gpu = batches[0][0].is_cuda
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        for batch in batches:
            step(gdpw.training.Batch.draw(step.training.generator, *batch))
        if on_gpu:
            torch.cuda.synchronize()
    kind = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
    spans, kernels = [], []
    for event in profiler.events():
        span = Span(event.name, event.time_range.start, event.time_range.end)
        if event.name.startswith("phase: "):
            if event.device_type == torch.autograd.DeviceType.CPU:
                spans.append(span)
        elif event.device_type == kind and (on_gpu or not event.cpu_children):
            kernels.append(span)
    return kernels, spans


def phases_marked(step: TrainStep) -> ExitStack:
    """Within, phases have names and are waited for. Those of a compiled step are no finer than what is compiled."""
    places: list[tuple[Any, str, str]] = [
        (gdpw.training.Batch, "draw", "guidance"),
        (step, "_play_generator", "forward of the generator's pass"),
        (step, "_play_discriminator", "forward of the discriminator's pass"),
        (step, "_update", "update"),
        (gdpw.training, "_backward", "backward"),
    ]
    if step.config.execution == "eager":
        places += [
            (step.training.generator, "forward", "forward of the generator"),
            (gdpw.losses, "_perceptual_terms", "forward of VGG and its terms"),
            (gdpw.losses, "_judge", "forward of the discriminator"),
        ]
    stack = ExitStack()
    for owner, name, phase in places:
        stack.enter_context(mock.patch.object(owner, name, marked(getattr(owner, name), phase)))
    return stack


def marked(function: Callable[..., Any], phase: str) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        wait()
        with record_function(f"phase: {phase}"):
            result = function(*arguments)
            wait()
        return result

    return run


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()

"""The generator: ours in several modes against the original's.

    python benchmarks/generator.py --original CHECKOUT    one NVIDIA GPU; under six minutes, most of it torch.compile
    python benchmarks/generator.py --cpu                  ours alone, on as many threads as torch takes

CHECKOUT is one of yataoz/face_reenact_GDPW; it needs nvdiffrast, which then draws the meshes on both sides. Weights,
picture and meshes are those of the parity set: the stand-in head turning from the second source pose to its driving
pose. Ours encodes the source once, before the clock starts; the original can only encode it for each frame.
`network` starts from drawn maps, `all` from meshes on the device; both end with pictures on the device. `difference` is
the mean absolute one to our float32 pictures, in grey levels of 255.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch
from torch import Tensor
from torch.backends import cudnn

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from golden_generator import KINDS, faces, picture, recipe_generator  # noqa: E402
from golden_set import PREFIX, read_npz  # noqa: E402
from original import open_original  # noqa: E402

from gdpw.animator import Animator, Execution  # noqa: E402
from gdpw.config import GeneratorConfig  # noqa: E402
from gdpw.folding import fold  # noqa: E402
from gdpw.generator import Generator  # noqa: E402
from gdpw.rasterizer import RasterizerName, make_rasterizer  # noqa: E402


class Mode(NamedTuple):
    """How our animator runs. tuned: cuDNN tries its algorithms. transposed: see `fold`; None for the default."""

    name: str
    batches: tuple[int, ...]
    dtype: torch.dtype = torch.bfloat16
    execution: Execution = "eager"
    tuned: bool = False
    transposed: bool | None = None


GPU_MODES = (
    Mode("float32", (1, 32), torch.float32),
    Mode("bfloat16", (1, 32)),
    Mode("bfloat16 graphed", (32, 1), execution="graphed"),
    Mode("bfloat16 graphed tuned", (32,), execution="graphed", tuned=True),
    Mode("bfloat16 compiled", (32,), execution="compiled"),
    Mode("bfloat16 graphed, doubling apart", (32,), execution="graphed", transposed=False),
    Mode("float16 graphed", (32,), torch.float16, execution="graphed"),
)
CPU_MODES = (Mode("float32", (1, 4), torch.float32),)


class Scene(NamedTuple):
    """A picture (3, H, W) and the meshes (V, 3), (B, V, 3) of a source and of driving frames."""

    image: Tensor
    source: Tensor
    driving: Tensor

    @classmethod
    def make(cls, size: int, frames: int, device: str) -> Scene:
        meshes = read_npz("raster_nvdiffrast")
        source, driving = (torch.from_numpy(meshes[f"verts_{side}"][1]).float() for side in ("source", "driving"))
        turn = torch.linspace(0, 1, frames)[:, None, None]
        image = picture(f"{PREFIX}in{size}x{size}/img_s/0", 3, size, size)[0]
        return cls(image.to(device), source.to(device), (source + turn * (driving - source)).to(device))


class Row(NamedTuple):
    name: str
    batch: int
    network: float | None = None
    everything: float | None = None
    difference: float | None = None
    note: str = ""

    def __str__(self) -> str:
        numbers = [f"{x:11.3f}" if x is not None else " " * 11 for x in self[2:5]]
        return f"{self.name:34}{self.batch:6}" + "".join(numbers) + f"   {self.note}"


@contextmanager
def cudnn_with(**settings: bool) -> Iterator[None]:
    before = {name: getattr(cudnn, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(cudnn, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(cudnn, name, value)


def milliseconds(call: Callable[[], object], frames: int, device: str) -> float:
    """Median time of a call a frame, after warming up."""
    for _ in range(4 if device == "cuda" else 1):
        call()
    times: list[float] = []
    while len(times) < 3 or (len(times) < 20 and sum(times) < 1.5):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times) / frames * 1000


def print_slowest_kernels(call: Callable[[], object]) -> None:
    with torch.profiler.profile() as profile:
        call()
        torch.cuda.synchronize()
    print(profile.key_averages().table(sort_by="self_cuda_time_total", row_limit=25, max_name_column_width=100))


def measure(
    mode: Mode, batch: int, generator: Generator, scene: Scene, reference: Tensor, device: str, profile: bool
) -> Row:
    torch._dynamo.reset()
    started = time.perf_counter()

    def folded(original: Generator, transposed: bool) -> Generator:
        return fold(original, transposed=transposed if mode.transposed is None else mode.transposed)

    with mock.patch("gdpw.animator.fold", folded), cudnn_with(benchmark=mode.tuned):
        animator = Animator(generator, device, mode.dtype, mode.execution, batch)
        source = animator.encode(scene.image, scene.source)
        guidance = animator.draw(source, scene.driving[:batch])
        network = milliseconds(lambda: animator.decode(source, guidance), batch, device)
        everything = milliseconds(lambda: animator.animate(source, scene.driving[:batch]), batch, device)
        frames = animator.animate(source, scene.driving)
        if profile:
            print_slowest_kernels(lambda: animator.decode(source, guidance))
    difference = (frames - reference).abs().mean().item() * 255
    return Row(mode.name, batch, network, everything, difference, f"{time.perf_counter() - started:.0f} s to measure")


def load_original(checkout: Path, generator: Generator) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The original's generator with our weights: (image, source, driving), all (B, ...) -> pictures."""
    open_original(checkout, faces().numpy(), generator.config.vertices)
    from common import ModelContainer  # type: ignore[import-not-found]
    from config import config  # type: ignore[import-not-found]

    config.freeze(False)
    config.MODEL.GUIDANCE, config.MODEL.MODEL_VERSION = generator.config.guidance, "model"
    original = ModelContainer(config.MODEL, "test").generator
    original.load_state_dict(generator.state_dict())
    original.mesh_renderer.create_gl_context_pool(["cuda:0"])
    original.to("cuda:0").eval()
    return lambda image, source, driving: original(image, source, driving)[-1]


@torch.no_grad()
def measure_original(checkout: Path, generator: Generator, scene: Scene, reference: Tensor) -> list[Row]:
    call = load_original(checkout, generator)
    rows = []
    for batch in (1, 32):
        inputs = scene.image.repeat(batch, 1, 1, 1), scene.source.repeat(batch, 1, 1), scene.driving[-batch:]
        with cudnn_with(allow_tf32=False):
            difference = (call(*inputs) - reference[-batch:]).abs().mean().item() * 255
        time_of_call = milliseconds(lambda inputs=inputs: call(*inputs), batch, "cuda")
        rows.append(Row("original, float32", batch, None, time_of_call, difference))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--original", type=Path, metavar="CHECKOUT", help="measure the original too")
    parser.add_argument("--cpu", action="store_true", help="ours on the CPU")
    parser.add_argument("--guidance", choices=KINDS, default="neural_codes")
    parser.add_argument("--rasterizer", choices=("nvdiffrast", "torch"), help="nvdiffrast on a GPU unless given")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--modes", help="only those whose name contains this")
    parser.add_argument("--profile", action="store_true", help="list the slowest kernels of each mode's network")
    parser.add_argument("--seconds", type=float, default=300, help="start no further mode after this time")
    options = parser.parse_args()
    device = "cpu" if options.cpu else "cuda"
    rasterizer: RasterizerName = options.rasterizer or ("torch" if options.cpu else "nvdiffrast")
    checkout = options.original and options.original.resolve()

    started = time.perf_counter()
    config = GeneratorConfig(guidance=options.guidance)
    generator = recipe_generator(config, f"{PREFIX}G/{config.guidance}")
    generator.mesh_renderer.rasterizer = make_rasterizer(rasterizer, faces())
    generator.to(device)
    scene = Scene.make(options.size, 4 if options.cpu else 32, device)
    with cudnn_with(allow_tf32=False):
        exact = Animator(generator, device)
        source = exact.encode(scene.image, scene.source)
        reference = exact.animate(source, scene.driving)
        drawing = milliseconds(lambda: exact.draw(source, scene.driving), len(scene.driving), device)
        encoding = milliseconds(lambda: exact.encode(scene.image, scene.source), 1, device)
    rows = [Row(f"drawing alone, {rasterizer}", len(scene.driving), None, drawing), Row("encoding", 1, None, encoding)]

    def attempt(name: str, batch: int, work: Callable[[], list[Row]]) -> None:
        """One failed mode must not cost the others."""
        try:
            done = work()
        except Exception as error:
            done = [Row(name, batch, note=f"{type(error).__name__}: {str(error).strip()[:300]}")]
        print(*done, sep="\n", flush=True)
        rows.extend(done)

    if checkout:
        attempt("original", 0, lambda: measure_original(checkout, generator, scene, reference))
    for mode in CPU_MODES if options.cpu else GPU_MODES:
        for batch in mode.batches:
            if options.modes and options.modes not in mode.name:
                continue
            if time.perf_counter() - started > options.seconds:
                rows.append(Row(mode.name, batch, note="not started, out of time"))
                continue
            attempt(
                mode.name,
                batch,
                lambda m=mode, b=batch: [measure(m, b, generator, scene, reference, device, options.profile)],
            )

    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"\n{name}; torch {torch.__version__}; {config.guidance}, {options.size}x{options.size}; ms a frame")
    print(f"{'':34}{'batch':>6}{'network':>11}{'all':>11}{'difference':>11}")
    print(*rows, sep="\n")


if __name__ == "__main__":
    main()

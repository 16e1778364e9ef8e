"""`render` end to end, in frames a second, and where the time goes.

    python benchmarks/render.py bare [--gpus N] [--encoders 16]   from stored codes, GDPW in the released size
    python benchmarks/render.py bare --cpu --jobs 4 --seconds 2   the same machinery with mesh-warp, to try it out
    python benchmarks/render.py graph CLIP_OR_FOLDER PORTRAITS    the command itself on Ray, from raw video

`bare` needs torch, numpy, av and, for its rasteriser, nvdiffrast, and nothing else of what the project needs: it has
the structure of the graph without Ray. Codes of each job lie in a file; an encoder process reads them, asks a generator
process (one a GPU) for chunks, which come through shared memory, and writes the video. The head, its basis and the
weights are the parity set's. With --gpus N it runs on one GPU first and compares the files.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Packages that `bare` imports and does not use, where they are missing."""

    wanted = ("cv2", "decord", "lz4", "mediapipe", "numba", "PIL", "pyarrow", "simplejpeg", "webdataset")
    names = frozenset(name for name in wanted if importlib.util.find_spec(name) is None)

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        known = name.partition(".")[0] in self.names
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        return MagicMock(__path__=[], __name__=spec.name)

    def exec_module(self, module: Any) -> None:
        pass


sys.meta_path.append(_StandIns())

import numpy as np  # noqa: E402
import torch  # noqa: E402

CHUNK, AHEAD, SIZE, FPS = 32, 2, 256, 25


class Setting(NamedTuple):
    """What one measurement runs. seconds: of a job's video. folder: for codes and videos."""

    cpu: bool
    gpus: int
    encoders: int
    jobs: int
    seconds: float
    preset: str
    execution: str
    rasterizer: str
    folder: Path

    @property
    def frames(self) -> int:
        return round(self.seconds * FPS)


class Ask(NamedTuple):
    """A chunk that an encoder wants in a slot of its shared memory."""

    encoder: int
    slot: int
    source: int
    flat: Any  # (T, 165) codes
    recover: Any  # (T, 3, 3)


class Spent(NamedTuple):
    """Seconds of one process between the common start and its last frame. busy: of them, not waiting."""

    who: str
    busy: float
    parts: dict[str, float]


def face_model() -> Any:
    """The stand-in head with the recipe's basis."""
    from flame_set import standin_flame

    from fit_deca.model_file import face_model_from_arrays

    return face_model_from_arrays(standin_flame(), "standin")


def write_inputs(setting: Setting) -> None:
    """A file a job: the codes of a head that turns, nods and talks, and a recipe picture for it to move."""
    from golden_set import PREFIX, smooth

    from fit_deca.codes import CODE_SIZES

    columns = np.cumsum([0, *CODE_SIZES.values()])
    at = dict(zip(CODE_SIZES, columns.tolist(), strict=False))
    template = face_model().v_template
    scale = 1.3 / float(np.ptp(template[:, :2], axis=0).max())
    centre = template[:, :2].max(0) / 2 + template[:, :2].min(0) / 2
    for job in range(setting.jobs):
        rng = np.random.default_rng(job)
        time_ = np.arange(setting.frames) / FPS
        flat = np.zeros((setting.frames, int(columns[-1])), np.float32)
        flat[:, at["expression"] : at["expression"] + 10] = np.sin(time_[:, None] * rng.uniform(2, 9, 10))
        flat[:, at["pose"] + 1] = 0.4 * np.sin(time_ * 2 + job)
        flat[:, at["pose"] + 3] = 0.1 * (1 + np.sin(time_ * 11))
        flat[:, at["camera"]] = scale
        flat[:, at["camera"] + 1 : at["camera"] + 3] = -centre
        recover = np.tile([[SIZE / 2, 0, SIZE / 2], [0, SIZE / 2, SIZE / 2], [0, 0, 1]], (setting.frames, 1, 1))
        picture = smooth(f"{PREFIX}in{SIZE}x{SIZE}/img_s/{job}", 3, SIZE, SIZE)
        image = (picture.transpose(1, 2, 0) * 255).round().astype(np.uint8)
        np.savez(setting.folder / f"job-{job}.npz", flat=flat, recover=recover, image=image)


def performance(flat: Any, recover: Any, model: Any) -> Any:
    from fit_deca.codes import Codes
    from pipeline.performance import Performance

    codes = Codes.from_flat(torch.from_numpy(flat))
    return Performance(times=np.arange(len(flat)) / FPS, codes=codes, recover=recover, size=SIZE, face_model=model)


def make_animate(setting: Setting, device: str) -> tuple[Any, Any]:
    """`Animate` and the face model."""
    from fit_deca.flame import Flame
    from gdpw.animator import Animator
    from gdpw.config import GeneratorConfig
    from gdpw.mesh_warp import MeshWarp
    from gdpw.rasterizer import make_rasterizer
    from pipeline.render import Animate

    model = face_model()
    flame = Flame(model).to(device)
    if setting.cpu:
        return Animate(flame, MeshWarp(flame.faces)), model
    from golden_generator import recipe_generator
    from golden_set import PREFIX

    generator = recipe_generator(GeneratorConfig(), f"{PREFIX}G/neural_codes")
    generator.mesh_renderer.rasterizer = make_rasterizer(setting.rasterizer, flame.faces.cpu())
    network = Animator(generator, device, torch.bfloat16, setting.execution, CHUNK)
    return Animate(flame, network, CHUNK), model


def source_take(animate: Any, model: Any, number: int) -> Any:
    """The job's picture with the head at rest in it."""
    from pipeline.render import Take, meshes

    with np.load(_inputs_file(number)) as stored:
        still, image = performance(stored["flat"][:1], stored["recover"][:1], model), stored["image"]
    vertices = meshes(animate.flame, still).cpu().numpy()
    return Take(times=still.times, images=image[None], codes=still.codes, recover=still.recover, vertices=vertices)


def _inputs_file(job: int) -> Path:
    return Path(os.environ["BENCHMARK_INPUTS"]) / f"job-{job}.npz"


def _slots(memory: SharedMemory) -> Any:
    return np.ndarray((AHEAD + 1, CHUNK, SIZE, SIZE, 3), np.uint8, memory.buf)


def generate(
    setting: Setting, number: int, memories: Sequence[str], asks: Any, replies: Sequence[Any], spent: Any
) -> None:
    """A generator process: answers until it is asked for None."""
    device = "cpu" if setting.cpu else f"cuda:{number}"
    if not setting.cpu:
        torch.cuda.set_device(number)
    animate, model = make_animate(setting, device)
    opened = [SharedMemory(name) for name in memories]
    slots = [_slots(memory) for memory in opened]
    sources: dict[int, Any] = {}
    with np.load(_inputs_file(0)) as stored:  # compiles, and loads what is loaded at the first use
        first = performance(stored["flat"][:CHUNK], stored["recover"][:CHUNK], model)
    for _ in range(4):
        list(animate.move(animate.encode(source_take(animate, model, 0)), first))
    replies[-1].put(number)
    drawing = waiting = encoding = 0.0
    while True:
        begin = time.perf_counter()
        ask = asks.get()
        got = time.perf_counter()
        if ask is None:
            break
        if ask.source not in sources:
            sources[ask.source] = animate.encode(source_take(animate, model, ask.source))
            encoding += time.perf_counter() - got
        start = time.perf_counter()
        for row, picture in enumerate(animate.move(sources[ask.source], performance(ask.flat, ask.recover, model))):
            slots[ask.encoder][ask.slot, row] = picture
        replies[ask.encoder].put(ask.slot)
        drawing += time.perf_counter() - start
        waiting += got - begin
    parts = {"drawing": drawing, "encoding sources": encoding, "waiting": waiting}
    spent.put(Spent(f"generator {number}", drawing + encoding, parts))


def encode(setting: Setting, number: int, memory: str, asks: Sequence[Any], reply: Any, begun: Any, spent: Any) -> None:
    """An encoder process: writes every `encoders`-th job."""
    from pipeline.encode import EncodeConfig, write_video

    torch.set_num_threads(1)
    opened = SharedMemory(memory)
    slots = _slots(opened)
    waited = 0.0
    begun.wait()
    start = time.perf_counter()

    def pictures(job: int) -> Iterator[Any]:
        nonlocal waited
        with np.load(_inputs_file(job)) as stored:
            flat, recover = stored["flat"], stored["recover"]
        chunks = [slice(at, at + CHUNK) for at in range(0, len(flat), CHUNK)]
        for place in range(min(AHEAD, len(chunks))):
            asks[job % len(asks)].put(
                Ask(number, place % (AHEAD + 1), job, flat[chunks[place]], recover[chunks[place]])
            )
        for place, rows in enumerate(chunks):
            if place + AHEAD < len(chunks):
                later = chunks[place + AHEAD]
                asks[job % len(asks)].put(Ask(number, (place + AHEAD) % (AHEAD + 1), job, flat[later], recover[later]))
            before = time.perf_counter()
            slot = reply.get()
            waited += time.perf_counter() - before
            yield from slots[slot, : len(flat[rows])]

    config = EncodeConfig(encoder="libx264", preset=setting.preset, threads=1)  # type: ignore[arg-type]
    for job in range(number, setting.jobs, setting.encoders):
        write_video(setting.folder / f"{job}.mp4", pictures(job), FPS, config=config)
    took = time.perf_counter() - start
    spent.put(Spent(f"encoder {number}", took - waited, {"encoding": took - waited, "waiting": waited}))


def run_bare(setting: Setting) -> dict[int, str]:
    """Print the figures of one run. Returns each job's hash."""
    os.environ["BENCHMARK_INPUTS"] = str(setting.folder)
    context = get_context("spawn")
    size = (AHEAD + 1) * CHUNK * SIZE * SIZE * 3
    memories = [SharedMemory(create=True, size=size) for _ in range(setting.encoders)]
    asks = [context.Queue() for _ in range(setting.gpus)]
    replies = [context.Queue() for _ in range(setting.encoders + 1)]  # the last one: generators that are ready
    spent, begun = context.Queue(), context.Event()
    names = [memory.name for memory in memories]
    generators = [
        context.Process(target=generate, args=(setting, gpu, names, asks[gpu], replies, spent))
        for gpu in range(setting.gpus)
    ]
    encoders = [
        context.Process(target=encode, args=(setting, number, names[number], asks, replies[number], begun, spent))
        for number in range(setting.encoders)
    ]
    for process in (*generators, *encoders):
        process.start()
    for _ in generators:
        replies[-1].get(timeout=300)
    time.sleep(5)  # encoders import meanwhile
    start = time.perf_counter()
    begun.set()
    told = [spent.get(timeout=300) for _ in encoders]
    took = time.perf_counter() - start
    for queue in asks:
        queue.put(None)
    told += [spent.get(timeout=60) for _ in generators]
    for process in (*generators, *encoders):
        process.join()
    for memory in memories:
        memory.close()
        memory.unlink()
    frames = setting.jobs * setting.frames
    card = "CPU" if setting.cpu else torch.cuda.get_device_name()
    model = "mesh-warp" if setting.cpu else f"GDPW, {setting.execution}, {setting.rasterizer}"
    print(f"{card} x {setting.gpus}, {setting.encoders} encoders ({setting.preset}), {model}, {SIZE}x{SIZE}")
    print(f"  {frames:,} frames of {setting.jobs} jobs in {took:.1f} s: {frames / took:,.0f} frames/s")
    for kind in ("generator", "encoder"):
        some = [one for one in told if one.who.startswith(kind)]
        parts = {name: statistics.mean(one.parts[name] for one in some) for name in some[0].parts}
        each = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts.items())
        busy = statistics.mean(one.busy for one in some) / took
        print(f"  a {kind} is busy {100 * busy:.0f} % of the time: {each}", flush=True)
    return {
        job: hashlib.sha256((setting.folder / f"{job}.mp4").read_bytes()).hexdigest() for job in range(setting.jobs)
    }


def bare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(
            cpu=options.cpu,
            gpus=1,
            encoders=options.encoders,
            jobs=options.jobs,
            seconds=options.seconds,
            preset=options.preset,
            execution=options.execution,
            rasterizer=options.rasterizer,
            folder=Path(folder),
        )
        write_inputs(setting)
        alone = run_bare(setting)
        if options.gpus > 1:
            several = run_bare(setting._replace(gpus=options.gpus))
            equal = sum(alone[job] == several[job] for job in alone)
            print(f"  {equal} of {len(alone)} files equal on {options.gpus} GPUs and on one")


def graph(options: argparse.Namespace) -> None:
    """The command, and what it estimates; its rate is that of everything, Ray's start included."""
    from jobs.render import RenderRunConfig, run
    from jobs.render_estimate import measure
    from pipeline.models import ModelConfig
    from pipeline.render_plan import Pairing, pair_jobs
    from pipeline.render_stages import RenderConfig

    model = (
        ModelConfig(checkpoint=options.checkpoint, rasterizer=options.rasterizer, execution=options.execution)
        if options.checkpoint
        else ModelConfig()
    )
    render = RenderConfig(model=model)
    plan = pair_jobs(options.portraits, options.clips, Pairing("all"))
    speed = measure(render, plan.jobs)
    for name, seconds in zip(("decode and fit", "generate", "write"), speed[:3], strict=True):
        print(f"  {name}: {1000 * seconds:.2f} ms a frame of one worker")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        summary = run(RenderRunConfig(out=Path(folder) / "out", plan=plan, render=render, cpus=options.cpus))
        took = time.perf_counter() - start
    frames = int(summary.split(" frames")[0].rpartition(" ")[2].replace(",", ""))
    print(f"{summary}\n  {took:.1f} s: {frames / took:,.1f} frames/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    modes = parser.add_subparsers(required=True)
    mode = modes.add_parser("bare")
    mode.set_defaults(run=bare)
    mode.add_argument("--cpu", action="store_true", help="mesh-warp on the CPU")
    mode.add_argument("--gpus", type=int, default=1)
    mode.add_argument("--encoders", type=int, default=16, help="encoder processes")
    mode.add_argument("--jobs", type=int, default=64)
    mode.add_argument("--seconds", type=float, default=20, help="of each video")
    mode.add_argument("--preset", default="veryfast")
    mode.add_argument("--execution", choices=("eager", "compiled", "graphed"), default="graphed")
    mode.add_argument("--rasterizer", choices=("torch", "nvdiffrast"), default="nvdiffrast")
    mode = modes.add_parser("graph")
    mode.set_defaults(run=graph)
    mode.add_argument("clips", type=Path)
    mode.add_argument("portraits", type=Path)
    mode.add_argument("--checkpoint", type=Path)
    mode.add_argument("--execution", choices=("eager", "compiled", "graphed"), default="eager")
    mode.add_argument("--rasterizer", choices=("torch", "nvdiffrast"), default="torch")
    mode.add_argument("--cpus", type=int)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()

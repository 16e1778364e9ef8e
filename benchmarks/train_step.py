"""One training step: the original's and ours in several modes, same weights and pairs, in one run.

    python benchmarks/train_step.py --original CHECKOUT               speed; one NVIDIA GPU, some eight minutes
    python benchmarks/train_step.py --modes "bfloat16,bfloat16 graphed" --parts
                                                                      and where the time goes
    python benchmarks/train_step.py --steps 200 --modes "float32 as published,float32 again,bfloat16 graphed"
                                                                      whether the fast modes learn alike
    python benchmarks/train_step.py --cpu --size 64 --batch 2         ours alone, to see that it runs

CHECKOUT is one of yataoz/face_reenact_GDPW; it needs nvdiffrast, which then draws on both sides. Weights, VGG's too,
are those of the parity set. Pairs are made up: heads of many colours that turn before a smooth ground, or, with
`--dataset`, real ones of the generic head, the first of a run. `ms` is the median time of a step from pictures and
meshes on the device, drawing included, over its last half, `host` the part of it until Python is through: where it is
nearly all, the GPU waits for Python. `first` is the largest relative difference of a term of the first step from that
of the first row. The terms are means over the last quarter of the steps.

`--parts` profiles four more steps of each mode: milliseconds of the GPU's kernels a step, by kind and one by one, and,
where the mode is not graphed, by phase, being waited for between phases.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from golden_generator import KINDS, faces, recipe_discriminator, recipe_generator, recipe_vgg  # noqa: E402
from golden_set import PREFIX, read_npz, smooth  # noqa: E402
from original import open_original  # noqa: E402
from step_parts import parts_of  # noqa: E402

from fit_deca.head import load_generic_head  # noqa: E402
from gdpw.config import GeneratorConfig, LossWeights  # noqa: E402
from gdpw.generator import Generator  # noqa: E402
from gdpw.perceptual import PerceptualNetwork  # noqa: E402
from gdpw.rasterizer import RasterizerName, make_rasterizer  # noqa: E402
from gdpw.training import Batch, StepConfig, Training, TrainStep  # noqa: E402
from pipeline.dataset import open_dataset  # noqa: E402
from pipeline.loader import LoaderConfig, PairLoader  # noqa: E402

TERMS = ("pixel", "perceptual", "warp_perceptual", "feature_matching", "warp_feature_matching")
"""What is to fall: the reconstruction terms."""


class Pairs(NamedTuple):
    """Pictures (N, 3, S, S) in 0..1 and meshes (N, V, 3) NDC."""

    source: Tensor
    driving: Tensor
    source_vertices: Tensor
    driving_vertices: Tensor

    def batch(self, step: int, size: int) -> tuple[Tensor, ...]:
        """Copies, since the original writes into what it is given."""
        number = torch.arange(step * size, (step + 1) * size, device=self.source.device) % len(self.source)
        return tuple(tensor[number] for tensor in self)


class Mode(NamedTuple):
    """How our step runs. tf32: convolutions and products of float32 in TF32. tuned: cuDNN tries its algorithms out."""

    name: str
    config: StepConfig
    tf32: bool = True
    decay: float | None = None
    tuned: bool = False


FAST = StepConfig(precision="bfloat16", execution="compiled", channels_last=True)

MODES = (
    Mode("float32 as published", StepConfig(), tf32=False),
    Mode("float32 again", StepConfig(), tf32=False),
    Mode("float32 TF32", StepConfig()),
    Mode("bfloat16", StepConfig(precision="bfloat16")),
    Mode("bfloat16 graphed", StepConfig(precision="bfloat16", graphed=True)),
    Mode("bfloat16 graphed tuned", StepConfig(precision="bfloat16", graphed=True), tuned=True),
    Mode("bfloat16 channels last", StepConfig(precision="bfloat16", channels_last=True)),
    Mode("bfloat16 channels last graphed", StepConfig(precision="bfloat16", graphed=True, channels_last=True)),
    Mode("float32 compiled", StepConfig(execution="compiled")),
    Mode("bfloat16 compiled", FAST),
    Mode("bfloat16 compiled graphed", replace(FAST, graphed=True)),
    Mode("bfloat16 compiled graphed tuned", replace(FAST, graphed=True), tuned=True),
    Mode("bfloat16 compiled graphed average", replace(FAST, graphed=True), decay=0.999),
)


class Row(NamedTuple):
    name: str
    milliseconds: float | None = None
    host: float | None = None
    pairs_per_second: float | None = None
    gigabytes: float | None = None
    first: dict[str, float] | None = None
    terms: dict[str, float] | None = None
    note: str = ""


def made_up_pairs(generator: Generator, count: int, size: int, device: str) -> Pairs:
    """Heads of one colouring each, seen in two poses."""
    meshes = read_npz("raster_nvdiffrast")
    ends = [torch.from_numpy(meshes[f"verts_{side}"]).float().to(device) for side in ("source", "driving")]
    rng = np.random.default_rng(0)
    parts: list[list[Tensor]] = [[], [], [], []]
    for number in range(count):
        first, second = torch.from_numpy(rng.uniform(0, 1, 2)).float()
        start, end = ends[0][number % 2], ends[1][number % 2]
        poses = torch.stack([start + first * (end - start), start + second * (end - start)])
        rest = start.cpu().numpy() * rng.uniform(4, 12, 3) + rng.uniform(0, 6, 3)
        colours = torch.from_numpy(0.6 + 0.4 * np.sin(rest)).float().to(device).expand(2, -1, -1)
        head = generator.mesh_renderer(poses, colours, size, size)
        ground = torch.from_numpy(smooth(f"train_step/{number}", 3, size, size, 0, 0.4)).to(device)
        pictures = torch.where(head.sum(1, keepdim=True) > 0, head, ground).clamp(0, 1)
        for part, each in zip(parts, (*pictures, *poses), strict=True):
            part.append(each)
    return Pairs(*map(torch.stack, parts))


def dataset_pairs(options: argparse.Namespace) -> Pairs:
    """The first `--count` pairs that a training on the dataset would see."""
    loader = PairLoader(open_dataset(options.dataset), LoaderConfig(batch_size=options.count, size=options.size))
    batch = loader.read(0).to(options.device)
    pictures = [x.float() / 255 for x in (batch.source, batch.driving)]
    return Pairs(*pictures, batch.source_vertices, batch.driving_vertices)


def steps_of(step: Callable[[tuple[Tensor, ...]], dict[str, Tensor]], pairs: Pairs, options: argparse.Namespace) -> Row:
    """Time and terms. The device is waited for after each step only while timing, in the second half."""
    device = pairs.source.device.type
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times, host, terms = [], [], []
    for number in range(options.steps):
        batch = pairs.batch(number, options.batch)
        wait(device)
        start = time.perf_counter()
        terms.append(step(batch))
        host.append(time.perf_counter() - start)
        wait(device)
        times.append(time.perf_counter() - start)
    seconds, python = (statistics.median(each[len(each) // 2 :]) for each in (times, host))
    means = {
        name: statistics.mean(float(each[name]) for each in terms[-max(1, len(terms) // 4) :]) for name in terms[0]
    }
    first = {name: float(term) for name, term in terms[0].items()}
    memory = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else None
    return Row(
        "", seconds * 1000, python * 1000, options.batch / seconds, memory, first, means, f"first step {times[0]:.0f} s"
    )


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def measure(mode: Mode, pairs: Pairs, vgg: PerceptualNetwork | None, options: argparse.Namespace) -> Row:
    torch._dynamo.reset()
    gc.collect()  # the mode before, with its graph
    torch.cuda.empty_cache()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = mode.tf32
    torch.backends.cudnn.benchmark = mode.tuned
    training = Training.start(make_generator(options), recipe_discriminator().to(options.device), decay=mode.decay)
    train_step = TrainStep(training, LossWeights(), vgg, mode.config)

    def step(batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        terms = train_step(Batch.draw(training.generator, *batch)).terms
        return dict(zip(terms, torch.stack(list(terms.values())), strict=True))

    row = steps_of(step, pairs, options)._replace(name=mode.name)
    if options.parts:
        batches = [pairs.batch(number, options.batch) for number in range(4)]
        print(f"\n{mode.name}", *parts_of(train_step, batches), sep="\n", flush=True)
    return row


def measure_original(checkout: Path, pairs: Pairs, options: argparse.Namespace) -> Row:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.original_tf32
    generator = make_generator(options)
    open_original(checkout, faces().numpy(), generator.config.vertices)
    import torchvision

    def vgg19(*_: object, **__: object) -> torch.nn.Module:
        network = plain_vgg19()
        network.features.load_state_dict(
            {key.removeprefix("features."): value for key, value in recipe_vgg().state_dict().items()}, strict=False
        )
        return network

    plain_vgg19 = torchvision.models.vgg19
    with mock.patch("torchvision.models.vgg19", vgg19):
        from config import config  # type: ignore[import-not-found]
        from trainer import Trainer  # type: ignore[import-not-found]

        config.freeze(False)
        config.MODEL.GUIDANCE, config.MODEL.MODEL_VERSION = options.guidance, "model"
        config.TRAIN.COLOR_JITTER = False
        trainer = Trainer(config.TRAIN, config.MODEL, 0)
    trainer.container.generator.load_state_dict(generator.state_dict())
    trainer.container.discriminator.load_state_dict(recipe_discriminator().state_dict())

    def step(batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        trainer.step(*batch)
        return published_terms(trainer.summary_collector.collections)

    return steps_of(step, pairs, options)._replace(name="original, float32")


def published_terms(logged: dict[str, list[dict[str, Tensor]]]) -> dict[str, Tensor]:
    """What the original logs, summed under our names of the reconstruction terms."""
    wanted = {
        "recon_loss/rec_dst/pix_loss": "pixel",
        "recon_loss/rec_dst/block": "perceptual",
        "warp_loss/block": "warp_perceptual",
        "recon_loss/rec_dst/feat_match_loss": "feature_matching",
        "warp_loss/x1/feat_match_loss": "warp_feature_matching",
    }
    terms = {}
    for part, ours in wanted.items():
        names = [name for name in logged if part in name and "style" not in name]
        terms[ours] = torch.stack([entry["value"].detach() for name in names for entry in logged[name]]).sum()
    return terms


def make_generator(options: argparse.Namespace) -> Generator:
    generator = recipe_generator(GeneratorConfig(guidance=options.guidance), f"{PREFIX}G/{options.guidance}")
    triangles = faces()
    if options.dataset:
        head = load_generic_head()
        triangles, state = torch.from_numpy(head.faces), generator.state_dict()
        generator = Generator(replace(generator.config, vertices=len(head.v_template)), triangles)
        own = {
            name: state[name][: len(value)] if name == "embeds" else state[name]
            for name, value in generator.state_dict().items()
            if name != "mesh_renderer.tri"
        }
        generator.load_state_dict(own, strict=False)
    generator.mesh_renderer.rasterizer = make_rasterizer(options.rasterizer, triangles)
    return generator.to(options.device)


def table(rows: list[Row]) -> Iterator[str]:
    yield f"{'':32}{'ms':>9}{'host':>9}{'pairs/s':>9}{'GB':>7}{'first':>10}" + "".join(
        f"{name[:14]:>16}" for name in TERMS
    )
    reference = next((row.first for row in rows if row.first), None)
    for row in rows:
        if row.milliseconds is None or row.first is None or row.terms is None or reference is None:
            yield f"{row.name:32} {row.note}"
            continue
        common = [name for name in TERMS if name in row.first and name in reference]
        first = max(abs(row.first[name] / reference[name] - 1) for name in common)
        numbers = (
            f"{row.milliseconds:9.1f}{row.host:9.1f}{row.pairs_per_second:9.1f}{row.gigabytes or 0:7.1f}{first:10.1e}"
        )
        yield (
            f"{row.name:32}{numbers}"
            + "".join(f"{row.terms.get(n, float('nan')):16.4f}" for n in TERMS)
            + f"  {row.note}"
        )


def spread(rows: list[Row]) -> Iterator[str]:
    """How far the fast modes' terms are from the mean of the two float32 runs, in units of the distance of the two."""
    by_name = {row.name: row.terms for row in rows if row.terms}
    one, two = by_name.get("float32 as published"), by_name.get("float32 again")
    if one is None or two is None:
        return
    for name, terms in by_name.items():
        if name not in ("float32 as published", "float32 again"):
            ratios = [
                abs(terms[t] - (one[t] + two[t]) / 2) / max(abs(one[t] - two[t]), 1e-12) for t in TERMS if t in terms
            ]
            yield f"{name:30} distance from float32, in spreads: " + ", ".join(f"{ratio:.2f}" for ratio in ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--original", type=Path, metavar="CHECKOUT", help="measure the original too")
    parser.add_argument(
        "--original-tf32", action="store_true", help="with TF32, as torch's convolutions are by default"
    )
    parser.add_argument("--cpu", action="store_true", help="ours on the CPU")
    parser.add_argument("--guidance", choices=KINDS, default="neural_codes")
    parser.add_argument("--rasterizer", choices=("nvdiffrast", "torch"), help="nvdiffrast on a GPU unless given")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--dataset", type=Path, help="real pairs of the generic head instead of made-up ones")
    parser.add_argument("--count", type=int, default=64, help="pairs, again and again")
    parser.add_argument("--parts", action="store_true", help="say where the time goes")
    parser.add_argument("--no-perceptual", action="store_true", help="without VGG")
    parser.add_argument("--modes", help="only these, parted by commas")
    parser.add_argument("--seconds", type=float, default=420, help="start no further mode after this time")
    options = parser.parse_args()
    options.device = "cpu" if options.cpu else "cuda"
    rasterizer: RasterizerName = options.rasterizer or ("torch" if options.cpu else "nvdiffrast")
    options.rasterizer = rasterizer
    checkout = options.original and options.original.resolve()

    started = time.perf_counter()
    if options.dataset:
        pairs = dataset_pairs(options)
    else:
        with torch.no_grad():
            pairs = made_up_pairs(make_generator(options), options.count, options.size, options.device)
    vgg = None if options.no_perceptual else recipe_vgg().to(options.device)
    rows: list[Row] = []

    def attempt(name: str, work: Callable[[], Row]) -> None:
        """One failed mode must not cost the others."""
        try:
            row = work()
        except Exception as error:
            row = Row(name, note=f"{type(error).__name__}: {str(error).strip()[:300]}")
        rows.append(row)
        print(*list(table(rows))[-1:], sep="\n", flush=True)

    wanted = options.modes.split(",") if options.modes else [mode.name for mode in MODES]
    if checkout:
        attempt("original", lambda: measure_original(checkout, pairs, options))
    for mode in MODES:
        if mode.name not in wanted:
            continue
        if time.perf_counter() - started > options.seconds:
            rows.append(Row(mode.name, note="not started, out of time"))
            continue
        attempt(mode.name, lambda mode=mode: measure(mode, pairs, vgg, options))

    name = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    about = (
        f"{options.guidance}, {options.size}x{options.size}, batch {options.batch}, {rasterizer}, {options.steps} steps"
    )
    print(f"\n{name}; torch {torch.__version__}; {about}")
    print(*table(rows), *spread(rows), sep="\n")


if __name__ == "__main__":
    main()

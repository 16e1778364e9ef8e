"""Training on several GPUs of one host: the same losses as on one, and how much faster.

    torchrun --nproc_per_node 1 benchmarks/multi_gpu.py OUT     first: the reference, float32, 20 steps, and its speed
    torchrun --nproc_per_node 2 benchmarks/multi_gpu.py OUT     then: compared with OUT/world-1.json

The global batch stays the same for the losses (`--batch`), and is `--speed-batch` a GPU for the speed. Weights are
those of the parity set, pairs those of `train_step.py`; every process takes its slice.
Without a GPU it runs on gloo and CPUs: `--size 64 --batch 4 --small --no-speed`. Prints, and writes
OUT/world-N.json: numbers of the pairs, terms of each step, checksums of the batch norm statistics of every process,
pairs/s in bfloat16. `--parts` says where the first process's time goes, and what the step takes when gradients stay at
home.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch import distributed as dist

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from golden_generator import KINDS, faces, recipe_discriminator, recipe_generator, recipe_vgg  # noqa: E402
from golden_set import PREFIX  # noqa: E402
from step_parts import parts_of  # noqa: E402
from train_step import Pairs, made_up_pairs  # noqa: E402

from gdpw.config import GeneratorConfig, LossWeights  # noqa: E402
from gdpw.parallel import GradientAverage, average, processes, rank  # noqa: E402
from gdpw.rasterizer import make_rasterizer  # noqa: E402
from gdpw.training import Batch, StepConfig, Training, TrainStep  # noqa: E402


def start(options: argparse.Namespace, config: StepConfig) -> tuple[Training, TrainStep]:
    generator_config = (GeneratorConfig.small if options.small else GeneratorConfig)(guidance=options.guidance)
    generator = recipe_generator(generator_config, f"{PREFIX}G/{options.guidance}")
    generator.mesh_renderer.rasterizer = make_rasterizer(options.rasterizer, faces())
    training = Training.start(generator.to(options.device), recipe_discriminator().to(options.device))
    vgg = None if options.small else recipe_vgg().to(options.device)
    return training, TrainStep(training, LossWeights(), vgg, config)


def share(pairs: Pairs, step: int, batch: int) -> tuple[list[int], tuple[Tensor, ...]]:
    """This process's slice of a step's pairs: their numbers, and what they hold."""
    own = batch // processes()
    first = step * batch + rank() * own
    numbers = list(range(first, first + own))
    places = torch.tensor(numbers, device=pairs.source.device) % len(pairs.source)
    return numbers, tuple(tensor[places] for tensor in pairs)


def run_losses(pairs: Pairs, options: argparse.Namespace) -> dict[str, Any]:
    """Float32 as written: the terms of every step, means over the processes, and what each process's buffers hold."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    training, step = start(options, StepConfig())
    rows, sequence = [], []
    for number in range(options.steps):
        numbers, part = share(pairs, number, options.batch)
        terms = step(Batch.draw(training.generator, *part)).terms
        values = torch.stack(list(terms.values()))
        average([values])
        rows.append(dict(zip(terms, values.tolist(), strict=True)))
        sequence.append([each for part in gather(numbers) for each in part])
    buffers = torch.cat([b.double().flatten() for n, b in training.generator.named_buffers() if "running" in n])
    return {"sequence": sequence, "terms": rows, "statistics": gather([buffers.sum().item(), buffers.norm().item()])}


def run_speed(pairs: Pairs, options: argparse.Namespace) -> float:
    """Pairs a second of all processes together, in the fast mode."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    config = StepConfig(
        precision="bfloat16", execution=options.execution, graphed=options.graphed, channels_last=options.channels_last
    )
    training, step = start(options, config)
    speed = pairs_a_second(training, step, pairs, options)
    if options.parts:
        batches = [share(pairs, number, options.speed_batch * processes())[1] for number in range(4)]
        lines = list(parts_of(step, batches))
        if rank() == 0:
            print(*lines, sep="\n", flush=True)
        if processes() > 1:
            with mock.patch.object(GradientAverage, "during_backward", nullcontext):
                alone = pairs_a_second(*start(options, config), pairs, options)
            if rank() == 0:
                print(f"pairs/s without averaging gradients: {alone:.1f}", flush=True)
    return speed


def pairs_a_second(training: Training, step: TrainStep, pairs: Pairs, options: argparse.Namespace) -> float:
    batch = options.speed_batch * processes()
    for number in range(15 + options.speed_steps):
        if number == 15:
            torch.cuda.synchronize()
            began = time.perf_counter()
        step(Batch.draw(training.generator, *share(pairs, number, batch)[1]))
    torch.cuda.synchronize()
    return batch * options.speed_steps / (time.perf_counter() - began)


def gather(value: Any) -> list[Any]:
    """The values of all processes, in their order."""
    values: list[Any] = [value]
    if processes() > 1:
        values = [None] * processes()
        dist.all_gather_object(values, value)
    return values


def compare_losses(found: dict[str, Any], reference: dict[str, Any]) -> None:
    worst = [
        max(abs(row[name] - wanted[name]) / max(abs(wanted[name]), 1e-3) for name in wanted)
        for row, wanted in zip(found["terms"], reference["terms"], strict=True)
    ]
    print("same sequence of pairs:", found["sequence"] == reference["sequence"])
    print("largest relative difference of a term, step by step:", " ".join(f"{each:.1e}" for each in worst))
    print("statistics equal in all processes:", all(each == found["statistics"][0] for each in found["statistics"]))
    (ours, theirs) = (record["statistics"][0] for record in (found, reference))
    print(
        "statistics against one process, relative:",
        " ".join(f"{a / b - 1:.1e}" for a, b in zip(ours, theirs, strict=True)),
    )


def compare(found: dict[str, Any], reference: dict[str, Any]) -> None:
    if "terms" in found:
        compare_losses(found, reference)
    if found.get("pairs_per_second") and reference.get("pairs_per_second"):
        print(f"times one GPU: {found['pairs_per_second'] / reference['pairs_per_second']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--guidance", choices=KINDS, default="neural_codes")
    parser.add_argument("--rasterizer", choices=("nvdiffrast", "torch"), help="nvdiffrast on a GPU unless given")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16, help="of all processes together, for the losses")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--speed-batch", type=int, default=16, help="of each process")
    parser.add_argument("--speed-steps", type=int, default=30)
    parser.add_argument("--execution", choices=("eager", "compiled"), default="compiled", help="for the speed")
    parser.add_argument("--graphed", action="store_true", help="for the speed: CUDA graphs")
    parser.add_argument("--channels-last", action="store_true", help="for the speed")
    parser.add_argument("--parts", action="store_true", help="say where the time goes")
    parser.add_argument("--no-losses", action="store_true", help="the speed alone")
    parser.add_argument("--count", type=int, default=64, help="made-up pairs")
    parser.add_argument("--small", action="store_true", help="a small generator, no VGG")
    parser.add_argument("--no-speed", action="store_true")
    options = parser.parse_args()

    on_gpu = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if on_gpu else "gloo")
    options.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(options.device)
    options.rasterizer = options.rasterizer or ("nvdiffrast" if on_gpu else "torch")

    with torch.no_grad():
        pairs = made_up_pairs(start(options, StepConfig())[0].generator, options.count, options.size, options.device)
    found = {} if options.no_losses else run_losses(pairs, options)
    if on_gpu and not options.no_speed:
        found["pairs_per_second"] = run_speed(pairs, options)
    if rank() == 0:
        options.out.mkdir(parents=True, exist_ok=True)
        part = "-speed" if options.no_losses else ""
        (options.out / f"world-{processes()}{part}.json").write_text(json.dumps(found))
        name = torch.cuda.get_device_name() if on_gpu else "CPU"
        what = f"{options.guidance}, {options.size}x{options.size}"
        print(f"{processes()} processes, {name}; torch {torch.__version__}; {what}")
        print(f"pairs/s: {found.get('pairs_per_second')}")
        reference = options.out / f"world-1{part}.json"
        if processes() > 1 and reference.exists():
            compare(found, json.loads(reference.read_text()))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()

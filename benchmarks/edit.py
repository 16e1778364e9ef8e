"""How long an answer of `edit --web` takes: from a line to the state and the pictures as the page gets them.

    python benchmarks/edit.py PORTRAIT [--checkpoint PWM_both.pth] [--rasterizer nvdiffrast]

The server's work alone, without HTTP. Needs a portrait; a GPU is used where there is one and a checkpoint is named.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import torch

from jobs.edit import EditConfig, open_session
from jobs.edit_web import EditPage
from pipeline.models import ModelConfig

TURNS = 25


def milliseconds(work: Callable[[int], object]) -> str:
    """Least and median of clock and processor time."""
    clock, processor = [], []
    for turn in range(TURNS):
        starts = perf_counter(), process_time()
        work(turn)
        clock.append(1000 * (perf_counter() - starts[0]))
        processor.append(1000 * (process_time() - starts[1]))
    least_and_median = [f"{min(times):.0f} / {statistics.median(times):.0f}" for times in (clock, processor)]
    return f"clock {least_and_median[0]} ms, processor {least_and_median[1]} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portrait")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--rasterizer", choices=["torch", "nvdiffrast"], default="torch")
    options = parser.parse_args()
    model = ModelConfig(checkpoint=options.checkpoint, rasterizer=options.rasterizer)
    page = EditPage(open_session(EditConfig(portrait=options.portrait, model=model)))
    page.answer("global_pose yaw 20")  # whatever is made or compiled at first use
    device = torch.cuda.get_device_name() if options.checkpoint and torch.cuda.is_available() else "CPU"
    print(f"{device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    print("an answer:", milliseconds(lambda turn: page.answer(f"global_pose yaw {turn - TURNS // 2}")))


if __name__ == "__main__":
    main()

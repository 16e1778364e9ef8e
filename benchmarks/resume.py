"""Is a run that is killed and resumed the run that nobody killed? To the last bit of every loss?

    python benchmarks/resume.py DATASET OUT [--workers 2] [--steps 80] [--seed 0]

Trains the preset tiny twice, in OUT/whole and OUT/killed; the second is killed (SIGKILL, Ray and all) at a random step
and resumed. Prints where it was killed, how many losses after that are bitwise equal, and how the terms fell.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path


def command(options: argparse.Namespace, folder: Path, *more: str) -> list[str]:
    base = [sys.executable, "-m", "jobs.cli", "train", str(options.dataset), str(folder), "--preset", "tiny"]
    settings = ["--set", "every.metrics=1", "--set", "every.checkpoint=10", "--steps", str(options.steps)]
    return [*base, "--guidance", "both", "--workers", str(options.workers), "--no-tensorboard", *settings, *more]


def losses(folder: Path) -> list[dict[str, float]]:
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("}")]
    return [{name: row[name] for name in row if name not in ("pairs_per_second", "data_wait_share")} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0, help="of the step at which it is killed")
    options = parser.parse_args()
    root = Path(__file__).parents[1]
    options.dataset, options.out = options.dataset.absolute(), options.out.absolute()

    whole, killed = options.out / "whole", options.out / "killed"
    subprocess.run(command(options, whole), cwd=root, check=True)
    at = random.Random(options.seed).randrange(12, options.steps - 50)
    process = subprocess.Popen(command(options, killed), cwd=root, start_new_session=True)
    while len(losses(killed)) < at and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    there = len(losses(killed))
    subprocess.run(command(options, killed, "--resume"), cwd=root, check=True)

    expected, found = losses(whole), losses(killed)
    checkpoint = there // 10 * 10
    equal = [ours == theirs for ours, theirs in zip(found[checkpoint:], expected[checkpoint:], strict=True)]
    pixel = [row["pixel"] for row in expected]
    print(f"killed after step {there}, resumed at {checkpoint}: {sum(equal)} of {len(equal)} steps bitwise equal")
    print(f"pixel term, first and last ten steps: {sum(pixel[:10]) / 10:.4f}, {sum(pixel[-10:]) / 10:.4f}")


if __name__ == "__main__":
    main()

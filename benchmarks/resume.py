"""Is a run that is killed and resumed the run that nobody killed? To the last bit of every loss?

    python benchmarks/resume.py DATASET OUT [--workers 2] [--steps 80] [--seed 0] [--local]

Trains the preset tiny twice, in OUT/whole and OUT/killed; the second is killed (SIGKILL, Ray and all) at a random step
and resumed. `--local` starts the processes itself, as torchrun would, without Ray. Prints where it was killed, how many
losses after that are bitwise equal, and how the terms fell.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def start(options: argparse.Namespace, folder: Path, *more: str) -> list[subprocess.Popen[bytes]]:
    """The processes of a run, in a session of their own."""
    train = [sys.executable, "-m", "jobs.cli", "train", str(options.dataset), str(folder), "--preset", "tiny"]
    settings = ["--set", "every.metrics=1", "--set", "every.checkpoint=10", "--steps", str(options.steps)]
    command = [*train, "--guidance", "both", "--no-tensorboard", *settings, *more]
    root = Path(__file__).parents[1]
    if not options.local:
        whole = [*command, "--workers", str(options.workers)]
        return [subprocess.Popen(whole, cwd=root, start_new_session=True)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(options.workers)}
    processes: list[subprocess.Popen[bytes]] = []
    for rank in range(options.workers):
        session = processes[0].pid if processes else 0
        environment = os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(subprocess.Popen([*command, "--local"], cwd=root, env=environment, process_group=session))
    return processes


def finish(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.wait():
            raise SystemExit(f"a training ended with {process.returncode}")


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
    parser.add_argument("--local", action="store_true", help="without Ray")
    options = parser.parse_args()
    options.dataset, options.out = options.dataset.absolute(), options.out.absolute()

    whole, killed = options.out / "whole", options.out / "killed"
    finish(start(options, whole))
    at = random.Random(options.seed).randrange(12, options.steps - 50)
    processes = start(options, killed)
    while len(losses(killed)) < at and processes[0].poll() is None:
        time.sleep(0.05)
    os.killpg(processes[0].pid, signal.SIGKILL)
    for process in processes:
        process.wait()
    there = len(losses(killed))
    finish(start(options, killed, "--resume"))

    expected, found = losses(whole), losses(killed)
    checkpoint = there // 10 * 10
    equal = [ours == theirs for ours, theirs in zip(found[checkpoint:], expected[checkpoint:], strict=True)]
    pixel = [row["pixel"] for row in expected]
    print(f"killed after step {there}, resumed at {checkpoint}: {sum(equal)} of {len(equal)} steps bitwise equal")
    print(f"pixel term, first and last ten steps: {sum(pixel[:10]) / 10:.4f}, {sum(pixel[-10:]) / 10:.4f}")


if __name__ == "__main__":
    main()

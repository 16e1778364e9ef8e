"""How well the generic head follows the faces of real clips, and how fast.

    python benchmarks/fit_quality.py --clips FOLDER [--held-out 100] [--max-frames N] [--size 256]

One line a track; see `tests/fit_measures.py` for what the columns say. `held out` is the median error over points that
took no part in a second fit. Milliseconds a frame are of the fit alone; the first track's include warming up.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from fit_measures import measure  # noqa: E402
from footage import cropped_tracks, footage_parser  # noqa: E402

from fit_deca.head import load_generic_head  # noqa: E402
from fit_deca.landmarks import LandmarkConfig  # noqa: E402
from pipeline.fit import FitConfig, FitTrack  # noqa: E402

COLUMNS = "frames median   p95  held out   yaw pitch   edges  jitter shaking    ms"


def main() -> None:
    parser = footage_parser(__doc__)
    parser.add_argument("--held-out", type=int, default=100, help="points left out of the second fit")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    head = load_generic_head()
    held_out = tuple(np.random.default_rng(0).choice(478, options.held_out, replace=False).tolist())
    fit = FitTrack(FitConfig(device=options.device))
    fit_some = FitTrack(FitConfig(device=options.device, landmarks=LandmarkConfig(held_out=held_out)))

    print(f"{'clip':36} {COLUMNS}")
    for name, track, crops in cropped_tracks(options):
        start = time.perf_counter()
        fitted = fit(track, crops)
        milliseconds = (time.perf_counter() - start) / len(track) * 1000
        found = measure(head, track, crops, fitted)
        held = np.median(fit_some(track, crops).error_px[:, held_out]) if held_out else np.nan
        name = f"{name}/{track.index}"
        print(
            f"{name:36} {len(track):6d} {found.error_median:6.2f} {found.error_p95:5.2f}"
            f" {held:9.2f} {found.yaw:5.1f} {found.pitch:5.1f} {found.edges_kept:7.2%} {found.jitter:7.3f}"
            f" {found.shaking:7.3f} {milliseconds:5.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

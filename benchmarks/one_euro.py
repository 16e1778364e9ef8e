"""How much less a driver's mesh trembles when `reenact` smooths him, and how far that moves the mesh.

    python benchmarks/one_euro.py --clips FOLDER [--max-frames N] [--size 256]

One line a track, of the fit `landmarks`: jitter (mean length of the second difference of the vertices, px) without and
with the One-Euro filter over expression, pose and camera in the picture, and the mean distance of the two meshes, px.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests")]

from footage import cropped_tracks, footage_parser  # noqa: E402

from fit_deca.smoothing import OneEuroConfig  # noqa: E402
from pipeline.fit import FitConfig, FitTrack  # noqa: E402
from pipeline.jitter import jitter_px  # noqa: E402
from pipeline.performance import Performance  # noqa: E402
from pipeline.records import Crops, Track  # noqa: E402
from pipeline.render import posed  # noqa: E402
from pipeline.shards import FaceModelStamp  # noqa: E402
from pipeline.transfer import smoothed  # noqa: E402


def compare(fit_track: FitTrack, track: Track, crops: Crops) -> str:
    """The line of one track."""
    fit = fit_track(track, crops)
    driving = Performance(
        times=track.times,
        codes=fit.codes,
        recover=fit.recover,
        size=crops.images.shape[1],
        face_model=FaceModelStamp.of(fit_track.face_model),
    )
    steady = smoothed(driving, OneEuroConfig())
    before, after = (posed(fit_track.flame, one.codes, one.recover).numpy() for one in (driving, steady))
    moved = np.linalg.norm((after - before)[..., :2], axis=-1).mean()
    return f"{jitter_px(before, track.numbers):7.3f} {jitter_px(after, track.numbers):7.3f} {moved:7.2f}"


def main() -> None:
    options = footage_parser(__doc__).parse_args()
    torch.set_num_threads(1)

    fit_track = FitTrack(FitConfig(fitter="landmarks"))
    print(f"{'clip':32} frames   jitter: without, with   moved")
    for name, track, crops in cropped_tracks(options):
        print(f"{name:32} {len(track):6d}  {compare(fit_track, track, crops)}", flush=True)


if __name__ == "__main__":
    main()

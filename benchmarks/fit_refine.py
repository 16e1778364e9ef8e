"""Whether codes that are far off are refined onto the tracked points: `deca+landmarks` without DECA's licensed files.

    python benchmarks/fit_refine.py --clips FOLDER [--max-frames N] [--size 256]

One line a track: error (median over points and frames, and 95th percentile, px) and jitter (mean length of the second
difference of the fitted points, px) of the fit `landmarks`; of its codes when they are perturbed, every frame anew (1
sigma on expressions, 10 degrees, 10 % scale; 1 sigma on the shape, once a track), which stands for a bad start from
DECA; and of these codes refined. "tracked" is the jitter of the tracked points themselves.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "tests")]

from fit_measures import jitter  # noqa: E402
from footage import cropped_tracks, footage_parser  # noqa: E402

from fit_deca.codes import Codes  # noqa: E402
from fit_deca.landmarks import FitResult  # noqa: E402
from fit_deca.rotation import axis_angle_to_matrix, matrix_to_axis_angle  # noqa: E402
from pipeline.fit import FitConfig, FitTrack  # noqa: E402
from pipeline.fitters import CroppedTrack, LandmarkTracks, pose_track  # noqa: E402
from pipeline.records import Fit  # noqa: E402

_DEGREES, _SCALE = 10.0, 0.1


def perturbed(codes: Codes, seed: int = 0) -> Codes:
    """The codes, far off."""
    generator = torch.Generator().manual_seed(seed)
    frames = len(codes.pose)
    axis = torch.nn.functional.normalize(torch.randn(frames, 3, generator=generator), dim=1)
    turn = axis_angle_to_matrix(axis * np.radians(_DEGREES)) @ axis_angle_to_matrix(codes.pose[:, :3])
    scale = 1 + _SCALE * torch.randn(frames, 1, generator=generator).sign()
    return Codes(
        shape=codes.shape + torch.randn(1, codes.shape.shape[1], generator=generator),
        expression=codes.expression + torch.randn(codes.expression.shape, generator=generator),
        pose=torch.cat([matrix_to_axis_angle(turn), codes.pose[:, 3:]], dim=1),
        eyes=codes.eyes,
        camera=torch.cat([codes.camera[:, :1] * scale, codes.camera[:, 1:]], dim=1),
    )


def measured(stage: FitTrack, fit: FitResult | Fit) -> str:
    """Error, its 95th percentile, jitter."""
    points = stage.flame.mediapipe_points(torch.as_tensor(fit.vertices))[..., :2].numpy()
    median, p95 = np.quantile(np.asarray(fit.error_px), [0.5, 0.95])
    return f"{median:7.3f} {p95:6.3f} {jitter(points):6.3f}"


def compare(stage: FitTrack, fitter: LandmarkTracks, cropped: CroppedTrack) -> str:
    """The line of one track."""
    plain = fitter.refine(cropped)
    off = perturbed(plain.codes)
    return "  ".join(
        [
            measured(stage, plain),
            measured(stage, pose_track(stage.flame, off, plain.recover, cropped)),
            measured(stage, fitter.refine(cropped, off)),
            f"{jitter(cropped.crops.landmarks[..., :2]):7.3f}",
        ]
    )


def main() -> None:
    options = footage_parser(__doc__).parse_args()
    torch.set_num_threads(1)

    config = FitConfig()
    stage = FitTrack(config)
    fitter = LandmarkTracks(stage.flame, "optimise", config.landmarks)
    print(f"{'clip':32} frames   landmarks: error, p95, jitter   perturbed   refined   tracked")
    for name, track, crops in cropped_tracks(options):
        line = compare(stage, fitter, CroppedTrack(track, crops))
        print(f"{name:32} {len(track):6d}  {line}", flush=True)


if __name__ == "__main__":
    main()

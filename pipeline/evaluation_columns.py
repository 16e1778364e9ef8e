"""What `evaluate` measures: the columns of its tables."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pipeline.metrics import PSNR_CAP

NEITHER = "near 1"
"""Which way is good of a share that should be whole: differences of such say nothing."""

Group = Literal["motion", "picture", "face"]
"""What a column looks at: motion and identity, whole pictures, or within the driver's face."""


class Metric(NamedTuple):
    """A column. better: up, down, or `NEITHER`. of: what it is, for people."""

    name: str
    group: Group
    better: str
    of: str


METRICS = (
    Metric("akd", "motion", "down", "distance of 68 landmarks, pixels of pictures 256 wide"),
    Metric("expression", "motion", "down", "mean difference of expression coefficients, fitted anew"),
    Metric("jaw", "motion", "down", "angle between jaws in degrees, fitted anew"),
    Metric("pose", "motion", "down", "angle between heads in degrees, fitted anew"),
    Metric("missing", "motion", "down", "share of frames without a face where the driver has one"),
    Metric("jitter", "motion", NEITHER, "how much the landmarks tremble, the driver's being 1"),
    Metric(
        "csim", "motion", "up", "cosine of the faces of result and source by dlib's network; one person: from 0.96 on"
    ),
    Metric("l1", "picture", "down", "mean absolute difference, 0..1"),
    Metric("psnr", "picture", "up", f"decibels, a frame at most {PSNR_CAP:g}"),
    Metric("ssim", "picture", "up", "structural similarity, Gaussian windows of 11 pixels"),
    Metric("st_lpips", "picture", "down", "shift-tolerant perceptual distance by AlexNet; not LPIPS"),
    Metric("lpips", "picture", "down", "perceptual distance by AlexNet, version 0.1"),
    Metric("l1_face", "face", "down", "l1 within the hull of the driver's landmarks"),
    Metric("psnr_face", "face", "up", "psnr there"),
    Metric("ssim_face", "face", "up", "ssim there"),
    Metric("st_lpips_face", "face", "down", "st_lpips where all else is the driver's picture"),
    Metric("lpips_face", "face", "down", "lpips where all else is the driver's picture"),
)
"""One value a video each."""

FID = "fid"
FID_OF = "distance of all results from all drivers' pictures, by Inception's features; falls with their number"
"""One value for all videos of a setting."""

"""The default fit on the beginnings of real clips of twelve people; `benchmarks/fit_quality.py` takes them whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from fit_measures import measure

import pipeline.tracks
from fit_deca.landmarks import LandmarkConfig
from pipeline.clips import read_clip
from pipeline.crop import CropConfig, CropTrack
from pipeline.fit import FitConfig, FitTrack
from pipeline.records import Clip, Crops, Frame, Track
from pipeline.sources import clip_of
from pipeline.tracks import find_tracks

CLIPS = [
    "aoc_512_mpeg4.mp4",
    "dafoe_720p_bigyaw.mp4",
    "duda_1080p_dropped.mp4",
    "latentsync1_1080x1920_hevc.mp4",
    "lia_vox2_256.mp4",
    "lp_d13_720x1280_portrait.mp4",
    "lp_d3_512_30fps.mp4",
    "lp_d9_512x480_30fps.mp4",
    "obama_256_46s.mov",
    "ravdess_actor01_720.mp4",
    "retalk1_700_vfr.mp4",
    "wojtek_512_yuv444.mp4",
]
FRAMES = 120


def first_frames(clip: Clip) -> Iterator[Frame]:
    return islice(read_clip(clip), FRAMES)


@pytest.fixture(scope="module", params=CLIPS)
def tracked(request: pytest.FixtureRequest, shared: Path) -> list[tuple[Track, Crops]]:
    """The tracks in the first 120 frames of a clip, with their crops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.tracks, "read_clip", first_frames)
        tracks = find_tracks(clip_of(shared / "clips" / request.param))
    assert tracks
    crop = CropTrack(CropConfig())
    return [(track, crop(track)) for track in tracks]


def test_every_track_is_followed_within_bounds(tracked: list[tuple[Track, Crops]]) -> None:
    stage = FitTrack(FitConfig())
    for track, crops in tracked:
        found = measure(stage.face_model, track, crops, stage(track, crops))
        assert found.error_median <= 1.0
        assert found.error_p95 <= 3.0
        assert found.yaw <= 5
        assert found.pitch <= 5
        assert found.edges_kept >= 0.99
        assert found.jitter <= found.shaking


def test_points_that_took_no_part_are_met(tracked: list[tuple[Track, Crops]]) -> None:
    held_out = np.random.default_rng(0).choice(478, 100, replace=False).tolist()
    stage = FitTrack(FitConfig(landmarks=LandmarkConfig(held_out=tuple(held_out))))
    for track, crops in tracked:
        assert np.median(stage(track, crops).error_px[:, held_out]) <= 1.5

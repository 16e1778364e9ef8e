"""reenact on real clips: times and sound are the driver's, and the portrait, tracked anew, moves as he does."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from motion import correlation, motion_of

from jobs.reenact import ReenactConfig, run
from pipeline.driving import Driving, read_driving
from pipeline.fit import FitConfig, FitTrack
from pipeline.jitter import jitter_px
from pipeline.portrait import read_portrait
from pipeline.render import meshes
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig, find_tracks
from pipeline.transfer import TransferConfig, transfer
from pipeline.video import frame_times

FIT = FitConfig(fitter="landmarks")
MEASURES = {"ravdess_actor01_720.mp4": "taylor_256.png", "retalk1_700_vfr.mp4": "ffhq_00986.jpg"}
"""Drivers with sound, of even and of uneven frames, and who follows them."""


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


@pytest.mark.parametrize("clip", MEASURES)
def test_times_and_sound_are_the_drivers_and_the_face_moves_as_his(shared: Path, clip: str, tmp_path: Path) -> None:
    driver, out = shared / "clips" / clip, tmp_path / "out.mp4"
    run(ReenactConfig(source=str(shared / "portraits" / MEASURES[clip]), driving=str(driver), out=out, fit=FIT))
    np.testing.assert_array_equal(frame_times(out), frame_times(driver))
    assert sound_of(out) == sound_of(driver)
    (his,), (hers,) = find_tracks(clip_of(driver)), find_tracks(clip_of(out))
    assert len(his) == len(hers) == len(frame_times(driver))
    assert correlation(motion_of(his).yaw, motion_of(hers).yaw) >= 0.8
    assert correlation(motion_of(his).jaw, motion_of(hers).jaw) >= 0.8


@pytest.fixture(scope="module")
def fit_track() -> FitTrack:
    return FitTrack(FIT)


@pytest.fixture(scope="module")
def driving(shared: Path, fit_track: FitTrack) -> Driving:
    with FindTracks(TrackConfig()) as find:
        return read_driving(str(shared / "clips" / "dafoe_720p_bigyaw.mp4"), find, fit_track, 256)


def test_one_euro_makes_the_driven_mesh_tremble_less(shared: Path, fit_track: FitTrack, driving: Driving) -> None:
    with FindTracks(TrackConfig()) as find:
        source = read_portrait(str(shared / "portraits" / "obama.jpg"), find, fit_track, 256).take
    (take,) = driving.takes
    jitter = {}
    for smooth in ("none", "one-euro"):
        given = transfer(source, take, TransferConfig(smooth=smooth), fit_track.flame)
        vertices = torch.cat([meshes(fit_track.flame, given.rows(slice(k, k + 32))) for k in range(0, len(given), 32)])
        jitter[smooth] = jitter_px(vertices.numpy(), np.arange(len(given)))
    assert jitter["one-euro"] < 0.8 * jitter["none"]

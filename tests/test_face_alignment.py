"""The tracker face-alignment, with a package of our own in its place: what it is asked, and what becomes of answers."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.clips import read_clip
from pipeline.crop import CropConfig, CropTrack, sixty_eight
from pipeline.errors import InputError, PipelineError
from pipeline.face_alignment import AlignTrack
from pipeline.fit import FitConfig, FitTrack
from pipeline.records import Track
from pipeline.sources import clip_of
from pipeline.tracks import FindTracks, TrackConfig, find_tracks


class FakeAlignment:
    """Sees the face where the track has it, but for the frames in `blind`; knows the points by the box it is given."""

    track: Track
    blind: tuple[int, ...] = ()

    def __init__(self, kind: str, device: str, compile: bool, max_batch_size: int) -> None:
        assert kind == "2D"
        self.face_detector = SimpleNamespace(detect_from_batch=self.detect)
        self.pictures: list[tuple[int, ...]] = []
        self.asked: list[int] = []
        self._next = 0
        self._batch: list[NDArray[np.float32]] = []

    def detect(self, pictures: torch.Tensor) -> list[list[NDArray[np.float64]]]:
        self.pictures.append(tuple(pictures.shape))
        self._batch, faces = [], []
        scale = pictures.shape[3] / self.track.width
        for row in range(self._next, self._next + len(pictures)):
            if row in self.blind:
                faces.append([])
                continue
            points = sixty_eight(self.track.landmarks)[row, :, :2]
            self._batch.append(points - points.min(0))
            box = np.append(np.append(points.min(0) - 5, points.max(0) + 5) * scale, 0.99)
            faces.append([np.array([0, 0, 3, 3, 0.9]), box])
        self._next += len(pictures)
        return faces

    def get_landmarks_from_image(
        self, picture: NDArray[np.uint8], detected_faces: list[NDArray[np.float64]]
    ) -> list[NDArray[np.float64]]:
        self.asked.append(len(detected_faces))
        assert picture.dtype == np.uint8
        for left, top, right, bottom, _ in detected_faces:
            assert picture[int(top) : int(bottom), int(left) : int(right)].mean() > 20  # the face is there
        return [box[:2] + 5 + points for box, points in zip(detected_faces, self._batch, strict=True)]


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The package's names as its release 1.5 has them, and its weights' files, empty."""
    modules = {name: ModuleType(name) for name in ("face_alignment", "face_alignment.api")}
    sfd = "face_alignment.detection.sfd.sfd_detector"
    modules |= {name: ModuleType(name) for name in ("face_alignment.detection", "face_alignment.detection.sfd", sfd)}
    modules["face_alignment"].FaceAlignment = FakeAlignment  # type: ignore[attr-defined]
    modules["face_alignment"].LandmarksType = SimpleNamespace(TWO_D="2D")  # type: ignore[attr-defined]
    modules["face_alignment.api"].models_urls = {"2DFAN-4": "https://host/fan.pth"}  # type: ignore[attr-defined]
    modules[sfd].models_urls = {"s3fd": "https://host/s3fd.pth"}  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for name in ("fan.pth", "s3fd.pth"):
        (tmp_path / "checkpoints" / name).touch()
    return modules["face_alignment"]


@pytest.fixture(scope="module")
def track(excerpt: Path) -> Track:
    return find_tracks(clip_of(excerpt))[0]


def test_points_come_from_batches_of_frames(package: ModuleType, track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeAlignment, "track", track, raising=False)
    stage = AlignTrack(min_frames=5, batch=8)
    found = stage(track, read_clip(track.clip))
    np.testing.assert_allclose(found.landmarks[..., :2], sixty_eight(track.landmarks)[..., :2], atol=0.6)
    assert (found.landmarks[..., 2] == 0).all()
    assert found.numbers.tolist() == track.numbers.tolist()
    assert stage._aligner.asked == [8, 4]
    assert [shape[0] for shape in stage._aligner.pictures] == [8, 4]
    assert min(stage._aligner.pictures[0][2:]) == 128


def test_frames_without_a_face_are_left_out(package: ModuleType, track: Track, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeAlignment, "track", track, raising=False)
    monkeypatch.setattr(FakeAlignment, "blind", (0, 3))
    found = AlignTrack(min_frames=5)(track, read_clip(track.clip))
    assert found.numbers.tolist() == [1, 2, *range(4, 12)]
    assert len(found.times) == len(found.landmarks) == len(found.head_pose) == 10


def test_a_track_that_it_hardly_sees_is_refused(
    package: ModuleType, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeAlignment, "track", track, raising=False)
    monkeypatch.setattr(FakeAlignment, "blind", tuple(range(9)))
    with pytest.raises(InputError, match="S3FD sees the face in 3 of 12 frames"):
        AlignTrack(min_frames=5)(track, read_clip(track.clip))


def test_its_tracks_are_fitted_through_the_68_points(
    package: ModuleType, track: Track, excerpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeAlignment, "track", track, raising=False)
    with FindTracks(TrackConfig(tracker="face-alignment")) as find:
        (found,) = find(clip_of(excerpt)).tracks
    assert found.landmarks.shape == (12, 68, 3)
    fit = FitTrack(FitConfig())(found, CropTrack(CropConfig())(found))
    assert fit.error_px.shape == (12, 68)
    assert np.median(fit.error_px) < 1.5


def test_missing_weights_are_named(package: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "s3fd.pth").unlink()
    with pytest.raises(PipelineError, match=r"download https://host/s3fd.pth to .*checkpoints$"):
        AlignTrack(min_frames=5)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(PipelineError, match=r"pip install 'gdpw-pipe\[face-alignment\]'"):
        AlignTrack(min_frames=5)

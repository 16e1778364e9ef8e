"""Annotated parts of real uploads: the frames and the person that the annotations mean."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.clips import read_clip
from pipeline.errors import InputError, Reason
from pipeline.records import Clip, Frame, Span
from pipeline.sources import scan
from pipeline.tracks import find_tracks


@pytest.fixture(scope="module")
def layouts(shared: Path) -> Path:
    return shared / "voxceleb_layout"


def the_clip(clips: list[Clip], video: str) -> Clip:
    (clip,) = (clip for clip in clips if clip.video == video)
    return clip


def test_an_utterance_is_tracked_in_its_boxes_and_its_span_alone(layouts: Path) -> None:
    """The first 15 frames of an utterance that begins with the upload's 26th picture."""
    clip = the_clip(scan(layouts / "vox1").clips, "t_lp13_port")
    assert clip.span is not None
    assert clip.boxes is not None
    (track,) = find_tracks(replace(clip, span=Span.of_frames(25, 40, 25)))
    assert track.numbers.tolist() == list(range(25, 40))
    assert track.times == pytest.approx(track.numbers / 25, abs=1e-3)
    left, top, right, bottom = clip.boxes.in_picture(track.times, track.width, track.height).T[..., None]
    x, y, _ = np.moveaxis(track.landmarks, 2, 0)
    assert ((left < x) & (x < right) & (top < y) & (y < bottom)).mean() > 0.95


def test_a_row_that_asks_for_more_than_the_upload_holds_is_named(layouts: Path, shared: Path) -> None:
    metadata = shared / "hard" / "vox-metadata_bad.csv"
    (clip,) = (c for c in scan(layouts / "raw", metadata=metadata) if c.clip == "000000#009999")
    frames: list[Frame] = []
    with pytest.raises(InputError, match=r"vox-metadata_bad\.csv:5: wants .* which ends at 3\.3") as caught:
        frames.extend(read_clip(clip))
    assert caught.value.reason == Reason.BAD_ANNOTATION
    assert len(frames) == 83


def test_the_png_form_has_the_pictures_of_its_video(layouts: Path) -> None:
    (pictures,) = scan(layouts / "video_preprocessing_png").clips
    videos = scan(layouts / "video_preprocessing" / "train").clips
    (video,) = (clip for clip in videos if (clip.video, clip.clip) == (pictures.video, "000000#000187"))
    frames = list(read_clip(pictures))
    assert [frame.number for frame in frames] == list(range(12))
    for frame, other in zip(frames, islice(read_clip(video), 12), strict=True):
        assert frame.time == pytest.approx(other.time, abs=1e-3)
        assert np.abs(frame.image.astype(int) - other.image).mean() < 6

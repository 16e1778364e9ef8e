"""The decoder's own process: the same frames as without it, and no clip that hangs or crashes it stops the others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipeline.clips import read_clip
from pipeline.decoder import Decoder
from pipeline.encode import write_video
from pipeline.errors import InputError, Reason
from pipeline.sources import clip_of


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(timeout=30) as decoder:
        yield decoder


def pictures(count: int, height: int, width: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), np.uint8) for _ in range(count)]


@pytest.fixture
def troubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which clips named crash and hang do so, in the decoder's process."""
    (tmp_path / "sitecustomize.py").write_text(
        "import pipeline.clips, os, time\n"
        "read = pipeline.clips.read_clip\n"
        "def trouble(clip, first):\n"
        "    if 'crash' in clip.path: os.kill(os.getpid(), 11)\n"
        "    if 'hang' in clip.path: time.sleep(1000)\n"
        "    return read(clip, first)\n"
        "pipeline.clips.read_clip = trouble\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("count", "height", "width"), [(50, 64, 96), (3, 1080, 1920), (1, 16, 16)])
def test_frames_are_those_of_the_clip(decoder: Decoder, tmp_path: Path, count: int, height: int, width: int) -> None:
    write_video(tmp_path / "a.mp4", pictures(count, height, width), 25)
    clip = clip_of(tmp_path / "a.mp4")
    read = list(decoder(clip))
    assert len(read) == count
    for ours, wanted in zip(read, read_clip(clip), strict=True):
        assert (ours.number, ours.time, ours.box) == (wanted.number, wanted.time, wanted.box)
        np.testing.assert_array_equal(ours.image, wanted.image)


def test_frames_stay_what_they_are_while_later_ones_come(decoder: Decoder, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", pictures(12, 1080, 1920), 25)
    frames = decoder(clip_of(tmp_path / "a.mp4"))
    first = next(frames)
    kept = first.image.copy()
    assert len(list(frames)) == 11
    np.testing.assert_array_equal(first.image, kept)


def test_a_clip_left_midway_does_not_disturb_the_next(decoder: Decoder, excerpt: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", pictures(30, 480, 640), 25)
    for wanted in (1, 5, 12):
        assert len(list(islice(decoder(clip_of(tmp_path / "a.mp4")), wanted))) == wanted
    assert [frame.number for frame in decoder(clip_of(excerpt))] == list(range(12))


def test_a_fault_comes_after_the_good_frames_as_the_reader_says_it(
    decoder: Decoder, excerpt: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.ts"
    write_video(tmp_path / "a.mp4", pictures(40, 64, 64), 25)
    damaged.write_bytes(excerpt.read_bytes()[:2000])
    for path in (damaged, tmp_path / "missing.mp4"):
        with pytest.raises(InputError) as ours:
            list(decoder(clip_of(path)))
        with pytest.raises(InputError) as wanted:
            list(read_clip(clip_of(path)))
        assert (ours.value.reason, ours.value.message) == (wanted.value.reason, wanted.value.message)


def test_a_decoder_that_hangs_is_killed_and_the_next_clip_is_read(excerpt: Path, troubled: Path) -> None:
    with Decoder(timeout=3) as decoder:
        with pytest.raises(InputError) as fault:
            list(decoder(clip_of(troubled / "hang.mp4")))
        assert fault.value.reason == Reason.DECODE_TIMEOUT
        assert "no picture from number 0 on in 3 s (--decode-timeout)" in fault.value.message
        assert len(list(decoder(clip_of(excerpt)))) == 12


def test_a_decoder_that_is_killed_midway_goes_on_where_it_was(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", pictures(40, 480, 640), 25)
    with Decoder(timeout=30) as decoder:
        numbers = []
        for frame in decoder(clip_of(tmp_path / "a.mp4")):
            if frame.number in (3, 20):
                os.kill(decoder.process_id, signal.SIGKILL)
            numbers.append(frame.number)
    assert numbers == list(range(40))


def test_a_clip_that_kills_its_decoder_every_time_is_given_up(excerpt: Path, troubled: Path) -> None:
    with Decoder(timeout=60) as decoder:
        with pytest.raises(InputError, match="its decoder died 3 times at picture number 0") as fault:
            list(decoder(clip_of(troubled / "crash.mp4")))
        assert fault.value.reason == Reason.WORKER_DIED
        assert len(list(decoder(clip_of(excerpt)))) == 12

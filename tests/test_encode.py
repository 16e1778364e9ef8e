"""Written videos: time stamps to the tick, sound as it was, what the file says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline import encode
from pipeline.encode import SYNTHETIC, EncodeConfig, working_encoder, write_video
from pipeline.errors import PipelineError
from pipeline.video import frame_times, time_unit

PICTURE = np.full((64, 96, 3), 120, np.uint8)
RATE = 48_000


def film(path: Path, codec: str, seconds: float = 2.0) -> Path:
    """A video with a tone, by PyAV alone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream(codec, rate=RATE, layout="mono")
        for number in range(round(25 * seconds)):
            frame = av.VideoFrame.from_ndarray(PICTURE, format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode())
        tone = (8000 * np.sin(np.arange(int(RATE * seconds)) / 10)).astype(np.int16)
        for start in range(0, len(tone), 1024):
            piece = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="s16", layout="mono")
            piece.sample_rate, piece.pts = RATE, start
            container.mux(sound.encode(piece))
        container.mux(sound.encode())
    return path


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    """Time and content of every packet of sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.size]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "aac"), ("a.mkv", "ac3"), ("a.mp4", "mp3")])
def test_sound_is_copied_packet_by_packet(tmp_path: Path, name: str, codec: str) -> None:
    given = film(tmp_path / name, codec)
    write_video(tmp_path / "out.mp4", [PICTURE] * 50, 25, sound=given)
    before, after = sound_of(given), sound_of(tmp_path / "out.mp4")
    assert [data for _, data in before] == [data for _, data in after]
    np.testing.assert_allclose([t for t, _ in after], [t for t, _ in before], rtol=0, atol=1e-3)


def test_sound_that_an_mp4_does_not_hold_becomes_aac_of_the_same_length(tmp_path: Path) -> None:
    given = film(tmp_path / "a.avi", "pcm_s16le")
    write_video(tmp_path / "out.mp4", [PICTURE] * 50, 25, sound=given)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "aac"
        samples = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
    assert len(samples) / 48_000 == pytest.approx(2, abs=0.1)
    assert np.abs(samples[12000:60000]).max() == pytest.approx(8000 / 32768, rel=0.1)


def test_sound_and_pictures_lie_side_by_side_in_the_file(tmp_path: Path) -> None:
    given = film(tmp_path / "a.mp4", "aac", seconds=8)
    write_video(tmp_path / "out.mp4", [PICTURE] * 200, 25, sound=given)
    with av.open(str(tmp_path / "out.mp4")) as container:
        places = [(p.stream.type, p.pos) for p in container.demux() if p.size and p.pos is not None]
    last_sound = max(place for kind, place in places if kind == "audio")
    first_sound = min(place for kind, place in places if kind == "audio")
    between = [place for kind, place in places if kind == "video" and first_sound < place < last_sound]
    assert len(between) > 100


def test_a_video_without_sound_gives_none(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4", [PICTURE] * 5, 25)
    write_video(tmp_path / "out.mp4", [PICTURE] * 5, 25, sound=tmp_path / "mute.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


@pytest.mark.parametrize("tick", [Fraction(1, 12_800), Fraction(1, 1000), Fraction(1001, 30_000), Fraction(1, 90_000)])
def test_uneven_times_are_exact_to_the_tick(tmp_path: Path, tick: Fraction) -> None:
    stamps = [7, 8, 40, 41, 200]
    write_video(tmp_path / "a.mp4", [PICTURE] * 5, [float(n * tick) for n in stamps], tick=tick)
    assert [Fraction(t).limit_denominator(10**6) for t in frame_times(tmp_path / "a.mp4")] == [n * tick for n in stamps]
    assert (tick / time_unit(tmp_path / "a.mp4")).denominator == 1


def test_times_that_do_not_rise_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="times must rise"):
        write_video(tmp_path / "a.mp4", [PICTURE] * 3, [0.0, 0.04, 0.04])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_file_says_that_it_is_synthetic(tmp_path: Path, synthetic: bool) -> None:
    write_video(tmp_path / "a.mp4", [PICTURE] * 3, 25, config=EncodeConfig(synthetic=synthetic))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata.get("comment") == (SYNTHETIC if synthetic else None)


def test_hardware_encodes_only_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_works", lambda name, width, height: name == "h264_nvenc" and width >= 256)
    working_encoder.cache_clear()
    assert working_encoder(256, 256) == "h264_nvenc"
    assert working_encoder(64, 64) == "libx264"
    working_encoder.cache_clear()


def test_one_picture_is_held_at_a_time(tmp_path: Path) -> None:
    drawn = 0

    def pictures() -> Iterator[np.ndarray]:
        nonlocal drawn
        while drawn < 20:
            drawn += 1
            yield PICTURE

    def times() -> Iterator[float]:
        for number in range(20):
            assert drawn <= number + 2
            yield number / 25

    write_video(tmp_path / "a.mp4", pictures(), times())
    assert drawn == 20

"""Videos made here, read back: pictures, order, times and faults."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.encode import write_video
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.records import Frame
from pipeline.video import probe, read_frames

GRAYS = [20 + 10 * number for number in range(20)]


def plain(gray: int, width: int = 96, height: int = 64) -> np.ndarray:
    """One gray, with a white upper left quarter that shows which way is up."""
    image = np.full((height, width, 3), gray, np.uint8)
    image[: height // 2, : width // 2] = 255
    return image


def encode(path: Path, codec: str = "libx264", *, rotation: int = 0, options: dict[str, str] | None = None) -> Path:
    """A 25 fps file by PyAV alone, in any container that the suffix names."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for number, gray in enumerate(GRAYS):
            frame = av.VideoFrame.from_ndarray(plain(gray), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path: Path, pause: float = 0.0) -> tuple[list[Frame], InputError | None]:
    """The frames before a fault, and the fault; `pause` makes a slow reader."""
    frames: list[Frame] = []
    try:
        for frame in read_frames(path):
            frames.append(frame)
            time.sleep(pause)
    except InputError as error:
        return frames, error
    return frames, None


def grays(frames: Iterable[Frame]) -> list[int]:
    return [int(frame.image[-8:, -8:].mean().round()) for frame in frames]


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mpg", "mpeg2video")])
@pytest.mark.parametrize("first", [1, 13, 19, 20, 25])
def test_reading_begins_with_any_picture(tmp_path: Path, name: str, codec: str, first: int) -> None:
    path = encode(tmp_path / name, codec, options={"g": "6", "bf": "2"})
    frames, late = read(path)[0], list(read_frames(path, first=first))
    assert [frame.number for frame in late] == list(range(first, 20))
    assert [frame.time for frame in late] == [frame.time for frame in frames[first:]]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(late, frames[first:], strict=True))


@pytest.mark.parametrize("first", [2, 8, 11])
def test_damage_is_the_same_wherever_reading_begins(tmp_path: Path, first: int) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, map(plain, GRAYS), 25)
    path.write_bytes(path.read_bytes()[:-100])
    frames, error = read(path)
    assert error is not None
    assert 10 < len(frames) < 20
    late: list[Frame] = []
    with pytest.raises(InputError, match=re.escape(error.message)):
        late.extend(read_frames(path, first=first))
    assert [frame.number for frame in late] == list(range(first, len(frames)))


def test_times_of_uneven_frames_come_back_to_a_tick(tmp_path: Path) -> None:
    times = [0.0, 0.033, 0.2, 0.25, 1.5, 1.51]
    write_video(tmp_path / "a.mp4", [plain(gray) for gray in GRAYS[:6]], times)
    frames, fault = read(tmp_path / "a.mp4")
    assert fault is None
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose([frame.time for frame in frames], times, rtol=0, atol=0.5 / 90_000)


def test_a_late_start_is_kept(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [plain(gray) for gray in GRAYS[:4]], [5.0, 5.04, 5.08, 5.12])
    assert [round(frame.time, 4) for frame in read(tmp_path / "a.mp4")[0]] == [5.0, 5.04, 5.08, 5.12]


def test_ntsc_rate_does_not_drift(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [plain(gray) for gray in GRAYS * 3], 30000 / 1001)
    frames, _ = read(tmp_path / "a.mp4")
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(60) * 1001 / 30000, rtol=0, atol=1e-9)
    assert probe(tmp_path / "a.mp4").fps == pytest.approx(30000 / 1001, abs=1e-6)


def test_colours_survive(tmp_path: Path) -> None:
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [205, 160, 130]], np.uint8)
    image = np.repeat(np.repeat(colours[None], 64, 0), 32, 1)
    write_video(tmp_path / "a.mp4", [image] * 3, 25)
    found = read(tmp_path / "a.mp4")[0][1].image[32, 16::32].astype(int)
    assert np.abs(found - colours).max() <= 4


def test_the_file_says_which_colours_it_holds(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [plain(100)] * 3, 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


def test_odd_sizes_get_their_rim_twice(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [plain(120, 97, 63)] * 3, 25)
    image = read(tmp_path / "a.mp4")[0][0].image
    assert image.shape == (64, 98, 3)
    assert abs(int(image[-1, -1, 0]) - 120) <= 3


def test_nothing_is_left_of_a_video_that_fails(tmp_path: Path) -> None:
    def broken() -> Iterable[np.ndarray]:
        yield plain(100)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_video(tmp_path / "a.mp4", broken(), 25)
    with pytest.raises(PipelineError, match=r"a\.mp4: no pictures"):
        write_video(tmp_path / "a.mp4", [], 25)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv", "avi"])
def test_pictures_come_in_order_out_of_every_container(tmp_path: Path, suffix: str) -> None:
    frames, fault = read(encode(tmp_path / f"a.{suffix}", options={"bf": "2"}))
    assert fault is None
    assert np.abs(np.subtract(grays(frames), GRAYS)).max() <= 3
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 0.04, rtol=0, atol=1e-9)


def test_an_mpeg_stream_loses_no_picture(tmp_path: Path) -> None:
    frames, _ = read(encode(tmp_path / "a.mpg", "mpeg1video", options={"g": "5", "b": "4000000"}))
    assert np.abs(np.subtract(grays(frames), GRAYS)).max() <= 3


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_pictures_are_turned_as_the_file_says(tmp_path: Path, rotation: int) -> None:
    path = encode(tmp_path / "a.mp4", rotation=rotation)
    image = read(path)[0][0].image
    upright = np.rot90(plain(GRAYS[0]), rotation // 90)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 6
    assert (probe(path).width, probe(path).height) == image.shape[1::-1]


def test_hidden_pictures_of_an_edit_list_stay_hidden(tmp_path: Path) -> None:
    """A copy cut between key frames: the first pictures are there for the decoder only."""
    whole = encode(tmp_path / "whole.mp4", options={"bf": "0", "g": "100"})
    with av.open(str(whole)) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.pts -= 8 * packet.duration
                packet.dts -= 8 * packet.duration
                packet.stream = stream
                target.mux(packet)
    frames, fault = read(tmp_path / "cut.mp4")
    assert fault is None
    assert np.abs(np.subtract(grays(frames), GRAYS[8:])).max() <= 3
    assert (frames[0].number, frames[0].time) == (0, 0.0)
    assert probe(tmp_path / "cut.mp4").frames == len(GRAYS) - 8


def test_a_cut_off_video_gives_its_good_pictures_then_its_fault(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(20)]
    write_video(tmp_path / "whole.mp4", noise, 25)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    frames, fault = read(tmp_path / "cut.mp4")
    assert fault is not None
    assert fault.reason is Reason.TRUNCATED
    assert str(fault) == f"{tmp_path / 'cut.mp4'}: damaged after picture {len(frames)} of 20"
    whole, _ = read(tmp_path / "whole.mp4")
    assert 5 <= len(frames) < 15
    for frame, expected in zip(frames, whole, strict=False):
        assert np.array_equal(frame.image, expected.image)


def test_a_slow_reader_gets_as_many_pictures_of_a_damaged_file(tmp_path: Path) -> None:
    """decord decodes ahead; its fault must not overtake the pictures before it."""
    rng = np.random.default_rng(0)
    write_video(tmp_path / "a.mp4", [rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(20)], 25)
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) * 6 // 10])
    slow, _ = read(tmp_path / "a.mp4", pause=0.05)
    assert len(slow) == len(read(tmp_path / "a.mp4")[0])


def test_very_narrow_pictures_keep_three_channels(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", [plain(gray, 16, 16) for gray in GRAYS], 25)
    frames, fault = read(tmp_path / "a.mp4")
    assert fault is None
    assert {frame.image.shape for frame in frames} == {(16, 16, 3)}
    assert len(frames) == len(GRAYS)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.mp4", b"", Reason.UNREADABLE),
        ("text.mp4", b"<html>404 not found</html>" * 20, Reason.UNREADABLE),
        ("missing.mp4", None, Reason.UNREADABLE),
    ],
)
def test_what_is_no_video_is_named_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, reason: Reason
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name) as caught:
        next(read_frames(tmp_path / name))
    assert caught.value.reason is reason
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=name):
        probe(tmp_path / name)


def test_sound_without_pictures_is_told_apart(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError) as caught:
        next(read_frames(tmp_path / "a.m4a"))
    assert caught.value.reason is Reason.NO_VIDEO_STREAM


def test_a_still_picture_is_no_video(tmp_path: Path) -> None:
    Image.fromarray(plain(90)).save(tmp_path / "a.png")
    with pytest.raises(InputError) as caught:
        next(read_frames(tmp_path / "a.png"))
    assert caught.value.reason is Reason.NOT_VIDEO


def test_names_with_colons_and_dashes_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4", "-a.mp4", "a#1 ü%20.mp4"):
        write_video(name, [plain(gray) for gray in GRAYS[:3]], 25)
        assert len(read(Path(name))[0]) == 3


def test_the_carphone_clip_is_whole(carphone: Path) -> None:
    info = probe(carphone)
    assert (info.width, info.height, info.frames, info.has_audio) == (176, 144, 120, False)
    assert len(read(carphone)[0]) == 120


def test_a_long_video_is_read_from_any_frame_without_decord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    write_video(tmp_path / "a.mp4", [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(400)], 25)
    short = list(read_frames(tmp_path / "a.mp4"))
    monkeypatch.setattr("pipeline.video._DECORD_BYTES", 0)
    monkeypatch.setattr("pipeline.video.decord", None)
    for first in (0, 5, 17, 250, 399):
        frames = list(read_frames(tmp_path / "a.mp4", first=first))
        assert [frame.number for frame in frames] == list(range(first, 400))
        for frame, wanted in zip(frames, short[first:], strict=True):
            assert frame.time == wanted.time
            assert np.abs(frame.image.astype(int) - wanted.image).max() <= 2

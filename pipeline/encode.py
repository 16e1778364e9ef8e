"""Pictures and sound -> a video file that says what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Literal, get_args

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from pipeline.atomic import atomic_path
from pipeline.errors import PipelineError
from pipeline.storage import locate
from pipeline.video import plain_name

Encoder = Literal["auto", "libx264", "h264_nvenc", "h264_videotoolbox"]
Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]

SYNTHETIC = "Synthetic media: a face animated by gdpw-pipe (digitalSourceType compositeSynthetic)"
"""What files say of themselves, with the word of IPTC's vocabulary of digital source types."""

TICK = Fraction(1, 90_000)
"""Seconds; whole numbers of it are frames at 24, 25, 30, 50, 60 and 29.97 a second."""
_COPIED = frozenset(("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"))
"""Sound, by FFmpeg's name, that players expect in an .mp4; other sound becomes AAC."""
_AAC_RATE = 48_000
_COLOURS = 1  # BT.709, for matrix, primaries and transfer alike, in the tables of H.273


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """encoder: auto is a hardware encoder that works here, else libx264. synthetic: whether the file says that it is.

    quality: libx264's constant rate factor, 0 (lossless) to 51, or what comes near it elsewhere.
    preset: libx264's speed. threads: libx264's, 0 for as many as it likes; the same number gives the same file.
    """

    encoder: Encoder = "auto"
    synthetic: bool = False
    quality: int = 18
    preset: Preset = "veryfast"
    threads: int = 0

    def __post_init__(self) -> None:
        if self.encoder not in get_args(Encoder) or not 0 <= self.quality <= 51:
            raise ValueError(f"encoder is one of {', '.join(get_args(Encoder))}, quality 0 to 51: {self}")
        if self.preset not in get_args(Preset) or self.threads < 0:
            raise ValueError(f"preset is one of {', '.join(get_args(Preset))}, threads 0 or more: {self}")


def write_video(
    path: str | Path,
    images: Iterable[NDArray[np.uint8]],
    times: Iterable[float] | float,
    *,
    tick: Fraction = TICK,
    sound: str | Path | None = None,
    config: EncodeConfig | None = None,
) -> None:
    """H.264 (yuv420p, BT.709, limited range), whole or not at all; one picture is held at a time.

    images: (H, W, 3) uint8 RGB, all of one size; an odd side gets its last row or column twice.
    times: seconds of each picture, rising, kept to a tick; or one number, pictures a second.
    tick: the unit of times in seconds; the one of the file that they come from keeps them exactly.
    sound: a file whose sound goes along, packet by packet as it is where an .mp4 may hold it; its times count as those
    of the pictures do.
    Raises PipelineError if the file cannot be written or there is no picture.
    """
    images = iter(images)
    first = next(images, None)
    if first is None:
        raise PipelineError(f"{path}: no pictures to write")
    config = config or EncodeConfig()
    # The start of the first picture is kept in units of the movie, not of its stream.
    muxing = {"movflags": "+faststart", "movie_timescale": str(tick.denominator)}
    with atomic_path(path) as partial:
        try:
            with av.open(plain_name(partial), "w", options=muxing) as container:
                if config.synthetic:
                    container.metadata["comment"] = SYNTHETIC
                video = _Video(container, first.shape[:2], times, tick, config)
                with _open_sound(sound) as given:
                    _write(container, video, chain([first], images), _sound_of(given, container))
        except av.FFmpegError as error:
            raise PipelineError(f"{path}: cannot be written ({error.strerror})") from error


class _Video:
    """The stream of pictures of a container that is being written."""

    def __init__(
        self,
        container: av.container.OutputContainer,
        size: tuple[int, int],
        times: Iterable[float] | float,
        tick: Fraction,
        config: EncodeConfig,
    ) -> None:
        self.height, self.width = size
        even = (self.width + self.width % 2, self.height + self.height % 2)
        name = working_encoder(*even) if config.encoder == "auto" else config.encoder
        rate = Fraction(25 if isinstance(times, Iterable) else times).limit_denominator(1001)
        stream = container.add_stream(name, rate=rate, options=_options(name, config))
        assert isinstance(stream, av.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = even, "yuv420p"
        self.stream, context = stream, stream.codec_context
        context.thread_count = config.threads
        context.time_base = stream.time_base = tick
        context.colorspace = context.color_primaries = context.color_trc = _COLOURS
        context.color_range = ColorRange.MPEG
        self._tick = tick
        self._stamps = _stamps(times if isinstance(times, Iterable) else (n / rate for n in count()), tick)

    def encode(self, image: NDArray[np.uint8]) -> tuple[list[av.Packet], Fraction]:
        """The packets that are ready, and the picture's time in seconds."""
        padded = np.pad(image, ((0, self.height % 2), (0, self.width % 2), (0, 0)), "edge")
        frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        frame.time_base = self._tick
        frame.pts, frame.duration = next(self._stamps)
        return self.stream.encode(frame), frame.pts * self._tick


def _write(
    container: av.container.OutputContainer,
    video: _Video,
    images: Iterator[NDArray[np.uint8]],
    sound: Iterator[tuple[float, av.Packet]],
) -> None:
    """Pictures and sound side by side in time, so that neither waits for the other in memory."""
    due = next(sound, None)
    for image in images:
        packets, now = video.encode(image)
        container.mux(packets)
        while due and due[0] <= now:
            container.mux(due[1])
            due = next(sound, None)
    container.mux(video.stream.encode())
    while due:
        container.mux(due[1])
        due = next(sound, None)


@contextmanager
def _open_sound(path: str | Path | None) -> Iterator[av.container.InputContainer | None]:
    if path is None:
        yield None
        return
    with av.open(plain_name(locate(path))) as container:
        yield container


def _sound_of(
    given: av.container.InputContainer | None, container: av.container.OutputContainer
) -> Iterator[tuple[float, av.Packet]]:
    """The first sound stream's packets as the container takes them, and when they are due in seconds; none if there is
    none. The stream is added to the container at once."""
    stream = given.streams.best("audio") if given else None
    if given is None or not isinstance(stream, av.AudioStream):
        return iter(())
    if stream.codec.canonical_name in _COPIED:
        return _copied(given, stream, container.add_stream_from_template(stream))
    layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    return _as_aac(given, stream, container.add_stream("aac", rate=_AAC_RATE, layout=layout))


def _copied(
    given: av.container.InputContainer, stream: av.AudioStream, target: av.AudioStream
) -> Iterator[tuple[float, av.Packet]]:
    for packet in given.demux(stream):
        if packet.size and packet.dts is not None:
            due = float(packet.dts * packet.time_base)
            packet.stream = target
            yield due, packet


def _as_aac(
    given: av.container.InputContainer, stream: av.AudioStream, target: av.AudioStream
) -> Iterator[tuple[float, av.Packet]]:
    context = target.codec_context
    convert = av.AudioResampler(context.format, context.layout, context.rate)
    for frame in chain(given.decode(stream), [None]):
        for piece in convert.resample(frame):
            for packet in target.encode(piece):
                yield float((packet.dts or 0) * packet.time_base), packet
    for packet in target.encode():
        yield float((packet.dts or 0) * packet.time_base), packet


def _stamps(times: Iterable[float | Fraction], tick: Fraction) -> Iterator[tuple[int, int]]:
    """Time stamp and duration of each picture in ticks; the last one's duration is that of the one before.

    Raises PipelineError for times that do not rise by a tick.
    """
    stamps = (round(time / tick) for time in times)
    last, step = next(stamps), round(1 / 25 / tick)
    for stamp in stamps:
        if stamp <= last:
            raise PipelineError(f"two pictures at {float(last * tick):.6f} s: times must rise")
        step = stamp - last
        yield last, step
        last = stamp
    yield last, step


def _options(encoder: str, config: EncodeConfig) -> dict[str, str]:
    quality = config.quality
    match encoder:
        case "libx264":
            return {"crf": str(quality), "preset": config.preset}
        case "h264_nvenc":
            return {"cq": str(quality), "rc": "vbr", "preset": "p4"}
        case _:
            return {"q:v": str(100 - 2 * quality)}


@lru_cache
def working_encoder(width: int, height: int) -> str:
    """An encoder in hardware that can write pictures of this size on this machine, else libx264."""
    return next((name for name in ("h264_nvenc", "h264_videotoolbox") if _works(name, width, height)), "libx264")


def _works(name: str, width: int, height: int) -> bool:
    try:
        codec = av.CodecContext.create(name, "w")
        assert isinstance(codec, av.VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuv420p", Fraction(1, 25)
        frame = av.VideoFrame(width, height, "yuv420p")
        frame.pts = 0
        return bool(codec.encode(frame) + codec.encode(None))
    except (av.FFmpegError, ValueError):  # ValueError: this FFmpeg does not know it
        return False

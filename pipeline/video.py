"""Video files: pictures out, one at a time, with their exact times; pictures in, as H.264."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import av
import decord
import numpy as np
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from pipeline.atomic import atomic_path
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.records import Frame

_TICKS = 90_000
"""Ticks a second in written files: whole for 24, 25, 30, 50, 60 and 29.97 frames a second."""


class VideoInfo(NamedTuple):
    """What a file says of its video stream.

    width, height: pixels as shown (display rotation applied). fps: average rate. frames: pictures that the container
    shows; fewer may decode. duration: seconds from the first picture to the end of the last.
    """

    width: int
    height: int
    fps: float
    frames: int
    duration: float
    has_audio: bool


class _Index(NamedTuple):
    """Every picture of the stream in order of display, listed without decoding."""

    times: NDArray[np.float64]  # (N,) seconds, as in the stream
    shown: NDArray[np.bool_]  # (N,) false where an edit list hides the picture
    end: float  # seconds at which the last picture ends
    claimed: int  # pictures by the header; 0 where it has no count


def probe(path: str | Path) -> VideoInfo:
    """What the file holds, by its container and its first picture.

    Of several video streams the one that FFmpeg prefers, the largest picture; `read_frames` takes the same.
    Raises InputError: unreadable, not_video, no_video_stream.
    """
    path = Path(path)
    with _open_container(path) as container:
        stream = _video_stream(container, path)
        index = _read_index(container, stream)
        container.seek(0)
        first = next(container.decode(stream), None)
        if first is None:
            raise InputError(Reason.UNREADABLE, f"{path}: no picture in it decodes")
        size = (first.width, first.height) if first.rotation % 180 == 0 else (first.height, first.width)
        times = index.times[index.shown]
        duration = index.end - float(times[0]) if len(times) else 0.0
        fps = len(times) / duration if duration > 0 else 0.0
        return VideoInfo(*size, fps, len(times), duration, bool(container.streams.audio))


def read_frames(path: str | Path, *, threads: int = 1) -> Iterator[Frame]:
    """Pictures of a video in order of display, upright, with the stream's own time stamps.

    Pictures that an edit list hides are left out and get no number. One picture is held at a time.
    Raises InputError: unreadable, not_video, no_video_stream before the first picture; truncated after the last good
    one, where the stream is damaged or shorter than its header says.
    """
    path = Path(path)
    with _open_container(path) as container:
        index = _read_index(container, _video_stream(container, path))
    reader = _open_reader(path, threads)
    if len(reader) != len(index.times):
        fault = f"the decoder counts {len(reader)} pictures, the container {len(index.times)}"
        raise InputError(Reason.UNREADABLE, f"{path}: {fault}")
    number = 0
    for time, shown in zip(index.times.tolist(), index.shown.tolist(), strict=True):
        try:
            image = reader.next().asnumpy()
        except (decord.DECORDError, StopIteration):
            raise _broken_off(path, number, index) from None
        if image.ndim != 3 or image.shape[2] != 3:
            raise InputError(Reason.UNREADABLE, f"{path}: pictures so narrow do not decode")
        if shown:
            yield Frame(number=number, time=time, image=image)
            number += 1
    if index.claimed > len(index.times):
        raise _broken_off(path, number, index)


def write_video(path: str | Path, images: Iterable[NDArray[np.uint8]], times: Iterable[float] | float) -> None:
    """H.264 (yuv420p, BT.709, limited range), whole or not at all.

    images: (H, W, 3) uint8 RGB, all of one size; an odd side gets its last row or column twice.
    times: seconds of each picture, rising, kept to 1/90000 s; or one number, pictures a second.
    Raises PipelineError if the file cannot be written or there is no picture.
    """
    images = iter(images)
    first = next(images, None)
    if first is None:
        raise PipelineError(f"{path}: no pictures to write")
    with atomic_path(path) as partial:
        try:
            with av.open(_plain_name(partial), "w", options={"movflags": "+faststart"}) as container:
                _encode(container, chain([first], images), first.shape[:2], times)
        except av.FFmpegError as error:
            raise PipelineError(f"{path}: cannot be written ({error.strerror})") from error


def _encode(
    container: av.container.OutputContainer,
    images: Iterator[NDArray[np.uint8]],
    size: tuple[int, int],
    times: Iterable[float] | float,
) -> None:
    height, width = size
    rate = Fraction(25 if isinstance(times, Iterable) else times).limit_denominator(1001)
    stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    context = stream.codec_context
    context.time_base = stream.time_base = Fraction(1, _TICKS)
    context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709 in the tables of H.273
    context.color_range = ColorRange.MPEG
    ticks = _ticks(times if isinstance(times, Iterable) else (number / rate for number in count()))
    for image in images:
        padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        frame.time_base = context.time_base
        frame.pts, frame.duration = next(ticks)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _ticks(times: Iterable[float | Fraction]) -> Iterator[tuple[int, int]]:
    """Time stamp and duration of each picture; the last one's duration is that of the one before."""
    stamps = (round(time * _TICKS) for time in times)
    last, step = next(stamps), _TICKS // 25
    for stamp in stamps:
        step = stamp - last
        yield last, step
        last = stamp
    yield last, step


def _plain_name(path: Path) -> str:
    """A name that FFmpeg cannot take for a protocol or an option."""
    return str(path.absolute())


@contextmanager
def _open_container(path: Path) -> Iterator[av.container.InputContainer]:
    if not path.is_file():
        raise InputError(Reason.UNREADABLE, f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
    try:
        with av.open(_plain_name(path)) as container:
            yield container
    except av.FFmpegError as error:
        raise InputError(Reason.UNREADABLE, f"{path}: cannot be read as a video ({error.strerror})") from None


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream.disposition & Disposition.attached_pic:
        raise InputError(Reason.NO_VIDEO_STREAM, f"{path}: no video stream in it")
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        raise InputError(Reason.NOT_VIDEO, f"{path}: a still picture, not a video")
    return stream


def _read_index(container: av.container.InputContainer, stream: av.VideoStream) -> _Index:
    listed = sorted(
        (_stamp(packet), packet.duration or 0, packet.is_discard) for packet in container.demux(stream) if packet.size
    )
    seconds = float(stream.time_base or 0)
    return _Index(
        times=np.array([stamp * seconds for stamp, _, _ in listed], np.float64),
        shown=np.array([stamp >= 0 and not hidden for stamp, _, hidden in listed], np.bool_),
        end=sum(listed[-1][:2]) * seconds if listed else 0.0,
        claimed=stream.frames,
    )


def _stamp(packet: av.Packet) -> int:
    """When the picture is shown; AVI knows only the order of decoding, which has the same steps."""
    return (packet.dts or 0) if packet.pts is None else packet.pts


def _open_reader(path: Path, threads: int) -> decord.VideoReader:
    # decord counts hidden pictures of an edit list as damaged and warns of them; `shown` leaves them out.
    os.environ.setdefault("DECORD_DUPLICATE_WARNING_THRESHOLD", "1.0")
    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(_plain_name(path), num_threads=threads)
    except (decord.DECORDError, RuntimeError):
        raise InputError(Reason.UNREADABLE, f"{path}: no picture in it decodes") from None


def _broken_off(path: Path, number: int, index: _Index) -> InputError:
    promised = max(index.claimed, len(index.times)) - int((~index.shown).sum())
    if number == 0:
        return InputError(Reason.UNREADABLE, f"{path}: none of its {promised} pictures decodes")
    return InputError(Reason.TRUNCATED, f"{path}: damaged after picture {number} of {promised}")

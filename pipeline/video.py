"""Video files: pictures out, one at a time, with their exact times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import av
import decord
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from pipeline.errors import InputError, Reason
from pipeline.records import Frame
from pipeline.storage import locate, openable

_DECORD_FORMATS = frozenset(("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "gif"))
"""Containers, by FFmpeg's name, of which decord gives the pictures that PyAV gives."""

_STAMPED_FORMATS = frozenset(("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"))
"""Those of them in which every picture has its time."""
_DECORD_BYTES = 128 << 20
"""Of all pictures of a video: what decord may hold in memory."""
_REORDERED = 16
"""Pictures by which the order of decoding may differ from that of display: the most in H.264 and HEVC."""


class VideoInfo(NamedTuple):
    """What a file says of its video stream.

    width, height: pixels as shown (display rotation applied). fps: average rate, 0 where it cannot be told. frames:
    pictures that the container shows; fewer may decode. duration: seconds from the first picture's start to the last
    one's end.
    """

    width: int
    height: int
    fps: float
    frames: int
    duration: float
    has_audio: bool


class _Index(NamedTuple):
    """Every picture that the stream shows, in order of display, listed without decoding."""

    times: NDArray[np.float64]  # (N,) seconds, as in the stream
    end: float  # seconds at which the last picture ends
    lost: int  # pictures that the header counts and the stream lacks
    plain: bool  # whether decord reads such a file rightly
    large: bool  # whether decord would fill the memory with it, and PyAV finds its pictures by their times


def probe(path: str | Path) -> VideoInfo:
    """What the file holds, by its container and its first picture.

    Of several video streams the one that FFmpeg prefers, the largest picture; `read_frames` takes the same.
    Raises InputError: unreadable, not_video, no_video_stream.
    """
    path = locate(path)
    with _open_container(path) as container:
        stream = _video_stream(container, path)
        index = _read_index(container, stream, path)
        has_audio = bool(container.streams.audio)
    first = next(_av_pictures(path, threads=1), None)
    if first is None:
        raise InputError(Reason.UNREADABLE, f"{path}: no picture in it decodes")
    height, width = first[1].shape[:2]
    duration = index.end - float(index.times[0])
    fps = len(index.times) / duration if duration > 0 else 0.0
    return VideoInfo(width, height, fps, len(index.times), duration, has_audio)


def frame_times(path: str | Path) -> NDArray[np.float64]:
    """(N,) seconds, rising: the time stamps of the pictures that a video shows, listed without decoding.

    Raises InputError: unreadable, not_video, no_video_stream.
    """
    path = locate(path)
    with _open_container(path) as container:
        return _read_index(container, _video_stream(container, path), path).times


def time_unit(path: str | Path) -> Fraction:
    """The unit in which a video counts the times of its pictures, in seconds.

    Raises InputError: unreadable, not_video, no_video_stream.
    """
    path = locate(path)
    with _open_container(path) as container:
        return _video_stream(container, path).time_base or Fraction(1, av.time_base)


def read_frames(path: str | Path, *, first: int = 0, threads: int = 1) -> Iterator[Frame]:
    """Pictures of a video in order of display, upright, with the stream's own time stamps.

    Pictures that an edit list hides are left out and get no number. One picture is held at a time.
    first: number of the first picture that is wanted; it is sought, so that few before it are decoded.
    Raises InputError: unreadable, not_video, no_video_stream before the first picture; truncated after the last good
    one, where the stream is damaged or shorter than its header says.

    decord decodes, being faster, and PyAV whatever decord gets wrong, and longer videos: decord decodes as far ahead of
    its reader as it can, 1.1 GB for 10 s of 1080p. Seen with decord2 3.4.0: of an MPEG program
    stream it leaves out the first pictures and repeats the last, of an edit list it shows the hidden ones under other
    times, at damage it drops good pictures that it had decoded ahead, and very narrow ones have too many channels.
    """
    path = locate(path)
    with _open_container(path) as container:
        index = _read_index(container, _video_stream(container, path), path)
    number = min(first, len(index.times))
    if index.plain and not index.large:
        for image in _decord_pictures(path, number, threads):
            yield Frame(number=number, time=float(index.times[number]), image=image)
            number += 1
    wanted, good, damaged = number, number, False
    if wanted < len(index.times):
        good = 0
        try:
            for number, time, image in _numbered(path, index, wanted, threads):
                good = number + 1
                if number >= wanted:
                    yield Frame(number=number, time=time, image=image)
        except av.FFmpegError:
            damaged = True
    if good == 0:
        raise InputError(Reason.UNREADABLE, f"{path}: no picture in it decodes")
    if damaged or index.lost:
        promised = len(index.times) + index.lost
        raise InputError(Reason.TRUNCATED, f"{path}: damaged after picture {good} of {promised}")


def plain_name(path: Path) -> str:
    """A name that FFmpeg cannot take for a protocol or an option; of a copy, where the file lies on a store."""
    return openable(path)


def _open_container(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise InputError(Reason.UNREADABLE, f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
    try:
        return av.open(plain_name(path))
    except (av.FFmpegError, OSError) as error:
        raise InputError(Reason.UNREADABLE, f"{path}: cannot be read as a video ({error.strerror or error})") from None


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream.disposition & Disposition.attached_pic:
        raise InputError(Reason.NO_VIDEO_STREAM, f"{path}: no video stream in it")
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        raise InputError(Reason.NOT_VIDEO, f"{path}: a still picture, not a video")
    return stream


def _read_index(container: av.container.InputContainer, stream: av.VideoStream, path: Path) -> _Index:
    tick = stream.time_base or Fraction(0)
    shown: list[tuple[int, int]] = []
    packets, starts_whole = 0, False
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        starts_whole = packet.is_keyframe if packets == 0 else starts_whole
        packets += 1
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and stamp >= 0 and not packet.is_discard:
            shown.append((stamp, packet.duration or 0))
    if not shown:
        raise InputError(Reason.UNREADABLE, f"{path}: no picture in it")
    shown.sort()
    return _Index(
        times=np.array([float(stamp * tick) for stamp, _ in shown], np.float64),
        end=float(sum(shown[-1]) * tick),
        lost=max(stream.frames - packets, 0),
        plain=container.format.name in _DECORD_FORMATS and starts_whole and len(shown) == packets,
        large=container.format.name in _STAMPED_FORMATS
        and 3 * stream.width * stream.height * len(shown) > _DECORD_BYTES,
    )


def _decord_pictures(path: Path, first: int, threads: int) -> Iterator[NDArray[np.uint8]]:
    """Pictures in order of display from the first wanted one on, as far as decord gets."""
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(plain_name(path), num_threads=threads)
        if 0 < first < len(reader):
            reader.seek_accurate(first)
        for _ in range(first, len(reader)):
            image = reader.next().asnumpy()
            if image.shape[2] != 3:
                return
            yield image
    except (decord.DECORDError, RuntimeError, StopIteration):
        return


def _numbered(path: Path, index: _Index, first: int, threads: int) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
    """Numbers, times and pictures in order of display, from one at or before the first wanted one on.

    Raises av.FFmpegError at the first that is damaged.
    """
    if not index.plain:
        pictures = _av_pictures(path, threads)
        yield from ((number, time, image) for number, (time, image) in enumerate(pictures))
        return
    if index.large and first > _REORDERED:
        with suppress(av.FFmpegError):
            sought = _placed(index, _av_pictures(path, threads, float(index.times[first - _REORDERED])))
            start = next(sought, None)
            if start is not None and start[0] <= first:
                yield from chain([start], sought)
                return
    yield from _placed(index, _av_pictures(path, threads))


def _placed(
    index: _Index, pictures: Iterator[tuple[float, NDArray[np.uint8]]]
) -> Iterator[tuple[int, float, NDArray[np.uint8]]]:
    """Pictures with the places of their times among those listed."""
    number = -1
    for time, image in pictures:
        number = max(number + 1, int(np.searchsorted(index.times, time - 1e-7)))
        if number >= len(index.times):
            return
        yield number, float(index.times[number]), image


def _av_pictures(path: Path, threads: int, start: float = 0.0) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Times and pictures in order of display, from a key frame before `start` seconds on.

    Raises av.FFmpegError at the first that is damaged.
    """
    scaler = VideoReformatter()
    with _open_container(path) as container:
        stream = _video_stream(container, path)
        stream.thread_count = threads
        if start > 0:
            container.seek(int(start / (stream.time_base or 1)), stream=stream)
        for frame in container.decode(stream):
            if frame.time is not None and frame.time >= 0:
                image: NDArray[Any] = scaler.reformat(frame, format="rgb24").to_ndarray()
                yield frame.time, np.ascontiguousarray(np.rot90(image, frame.rotation // 90))

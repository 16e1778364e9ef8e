"""Clips of any length -> fitted tracks, in constant memory: a track is fitted while it is tracked, piece by piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fit_deca.codes import Codes
from fit_deca.encoder import INPUT_SIZE
from pipeline.crop import (
    Window,
    encoder_crop,
    face_box,
    frame_boxes,
    sixty_eight,
    track_window,
    transform_points,
    warp_picture,
    window_around,
    window_transform,
)
from pipeline.errors import InputError, Reason
from pipeline.fit import FitTrack
from pipeline.landmarker import Face
from pipeline.performance import Performance
from pipeline.records import Clip, Crops, EncoderCrops, Frame, Track
from pipeline.shards import FaceModelStamp
from pipeline.tracks import FindTracks, TrackDraft

PIECE = 512
"""Frames that are fitted together: 20 seconds at 25 a second."""
CONTEXT = 25
"""Frames on either side that are fitted with a piece and then left to their own: one second, of which smoothing reaches
a tenth."""


class FittedTake(NamedTuple):
    """One track of a clip, T frames.

    frames: (T,) int64, which of the clip's, counted from its first. window: the square of the clip's pictures to whose
    pixels the performance refers.
    """

    frames: NDArray[np.int64]
    performance: Performance
    window: Window


class FittedClip(NamedTuple):
    """takes: at least one, in order. times: (N,) float64 seconds of all frames. fault: damage that ended it early."""

    takes: list[FittedTake]
    times: NDArray[np.float64]
    fault: InputError | None


class FitPieces:
    """Clip -> its tracks, fitted, without pictures and meshes. size: side of the pixels' square.

    A track is cut into pieces of `PIECE` frames, each fitted together with some of its neighbours' frames. Its shape is
    that of its first piece. Every piece has a window of its own, which the track's takes the place of at the end.
    Raises InputError: what `FindTracks` raises.
    """

    def __init__(self, find_tracks: FindTracks, fit_track: FitTrack, size: int) -> None:
        self.find_tracks, self.fit_track, self.size = find_tracks, fit_track, size

    def __call__(self, clip: Clip) -> FittedClip:
        reader = _Reader(clip, self.find_tracks, self.fit_track.sees_pictures)
        takes: list[_Take] = []
        for piece in reader:
            if piece.begins:
                takes.append(_Take())
            takes[-1].add(piece, self.fit_track, self.size)
        if not takes:
            raise reader.fault or reader.no_track()
        stamp = FaceModelStamp.of(self.fit_track.face_model)
        return FittedClip([take.finished(self.size, stamp) for take in takes], np.array(reader.times), reader.fault)


class _Piece(NamedTuple):
    """Some frames of a track; `own` are the rows that are not context. frames: (T,), counted from the clip's first.

    begins: whether the track begins with it. encoder: DECA's crops, for fitters that see pictures.
    """

    track: Track
    encoder: EncoderCrops | None
    frames: NDArray[np.int64]
    own: slice
    begins: bool


class _Reader:
    """Tracks a clip once, and hands out its tracks in pieces.

    times: of the frames read so far. fault: damage that ended the clip early.
    """

    def __init__(self, clip: Clip, find_tracks: FindTracks, sees_pictures: bool) -> None:
        """sees_pictures: whether the pieces are wanted with DECA's crops."""
        self.clip, self.find_tracks, self.sees_pictures = clip, find_tracks, sees_pictures
        self.times: list[float] = []
        self.fault: InputError | None = None
        self._size = (0, 0)
        self._lacks: Counter[Reason] = Counter()
        self._too_short = 0

    def no_track(self) -> InputError:
        """Why there was no piece."""
        return self.find_tracks.no_track(self.clip, len(self.times), self._size, self._too_short, self._lacks)

    def __iter__(self) -> Iterator[_Piece]:
        config, tail = self.find_tracks.config, _Tail(-1, self.sees_pictures)
        try:
            for look in self.find_tracks.look(self.clip):
                self.times.append(look.frame.time)
                self._size = (look.frame.image.shape[1], look.frame.image.shape[0])
                if not look.faces:
                    self._lacks[look.lack or Reason.NO_FACE] += 1
                    continue
                person, sight = look.faces[0]
                if not tail.goes_on(person, look.frame.time, config.max_gap):
                    yield from self._end(tail)
                    tail = _Tail(person, self.sees_pictures)
                tail.add(len(self.times) - 1, look.frame, sight.face)
                if tail.full:
                    yield tail.piece(self.clip, self._size, PIECE)
        except InputError as error:
            if not self.times:
                raise
            self.fault = error
        yield from self._end(tail)

    def _end(self, tail: _Tail) -> Iterator[_Piece]:
        """The last piece of a track, if there is one left to give and the track is long enough."""
        if tail.begins and 0 < len(tail) < self.find_tracks.config.min_frames:
            self._too_short += 1
        elif len(tail):
            yield tail.piece(self.clip, self._size, len(tail))


class _Tail:
    """The end of a track as it grows: frames that are in no piece yet, after some context that is."""

    def __init__(self, person: int, sees_pictures: bool) -> None:
        self.begins = True
        self._encoder: list[EncoderCrops] | None = [] if sees_pictures else None
        self._draft = TrackDraft(person)
        self._frames: list[int] = []
        self._given = 0  # rows of the draft that are context

    def __len__(self) -> int:
        return len(self._draft) - self._given

    @property
    def full(self) -> bool:
        return len(self) == PIECE + CONTEXT

    def goes_on(self, person: int, time: float, max_gap: float) -> bool:
        return person == self._draft.person and time - self._draft.times[-1] <= max_gap

    def add(self, index: int, frame: Frame, face: Face) -> None:
        self._draft.add(frame, face)
        self._frames.append(index)
        if self._encoder is not None:
            self._encoder.append(_for_encoder(frame.image, face))

    def piece(self, clip: Clip, size: tuple[int, int], count: int) -> _Piece:
        """Give away the next frames, so many."""
        end = self._given + count
        piece = _Piece(
            track=self._draft.track(clip, 0, *size),
            encoder=None if self._encoder is None else EncoderCrops(*map(np.stack, zip(*self._encoder, strict=True))),
            frames=np.array(self._frames),
            own=slice(self._given, end),
            begins=self.begins,
        )
        done = max(end - CONTEXT, 0)
        for rows in (self._frames, self._draft.numbers, self._draft.times, self._draft.faces, self._encoder or []):
            del rows[:done]
        self._given, self.begins = end - done, False
        return piece


class _Take:
    """A track whose pieces are fitted one after the other."""

    def __init__(self) -> None:
        self._shape: Tensor | None = None
        self._frames: list[NDArray[np.int64]] = []
        self._times: list[NDArray[np.float64]] = []
        self._codes: list[Tensor] = []
        self._boxes: list[NDArray[np.float64]] = []
        self._recover: list[NDArray[np.float64]] = []  # the camera's plane -> pixels of the clip

    def add(self, piece: _Piece, fit_track: FitTrack, size: int) -> None:
        track, own = piece.track, piece.own
        transform = window_transform(track_window(track.landmarks), size)
        fit = fit_track(track, _without_pictures(track, transform, size, piece.encoder), self._shape)
        if self._shape is None:
            self._shape = fit.codes.shape[0]
        self._frames.append(piece.frames[own])
        self._times.append(track.times[own])
        self._codes.append(fit.codes.flat()[own].clone())
        self._boxes.append(frame_boxes(track.landmarks)[own])
        self._recover.append((np.linalg.inv(transform) @ fit.recover)[own])

    def finished(self, size: int, stamp: FaceModelStamp) -> FittedTake:
        window = window_around(np.concatenate(self._boxes))
        performance = Performance(
            times=np.concatenate(self._times),
            codes=Codes.from_flat(torch.cat(self._codes)),
            recover=window_transform(window, size) @ np.concatenate(self._recover),
            size=size,
            face_model=stamp,
        )
        return FittedTake(np.concatenate(self._frames), performance, window)


def _for_encoder(image: NDArray[np.uint8], face: Face) -> EncoderCrops:
    """What DECA sees of one face in an (H, W, 3) picture, and where (3, 3), by points that are not smoothed."""
    matrix = encoder_crop(face_box(sixty_eight(face.landmarks)))
    return EncoderCrops(warp_picture(image, matrix, INPUT_SIZE, INPUT_SIZE), matrix)


def _without_pictures(track: Track, transform: NDArray[np.float64], size: int, encoder: EncoderCrops | None) -> Crops:
    """Crops whose pictures, but for those that DECA sees, are black and take no memory."""
    return Crops(
        images=np.broadcast_to(np.uint8(0), (len(track), size, size, 3)),
        transforms=np.broadcast_to(transform, (len(track), 3, 3)),
        landmarks=transform_points(track.landmarks, transform).astype(np.float32),
        encoder=encoder,
    )

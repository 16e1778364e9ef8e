"""Clip -> tracks: one person, frames in order, with landmarks and head pose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.clips import read_clip
from pipeline.errors import InputError, Reason
from pipeline.faces import FaceFollower
from pipeline.landmarker import Face
from pipeline.records import Clip, Frame, Kind, Track
from pipeline.scenes import SceneCuts
from pipeline.sources import clip_of
from pipeline.steady import steady

_LOOKS_AT_A_STILL = 3
"""Video mode places its own box anew from the points it found; after three looks they have settled."""

_BOX_MARGIN = 0.3
"""Sides of an annotated box that are seen on each side around it: annotations are tight around the face, and the
landmark model wants to see the head."""


@dataclass(frozen=True, kw_only=True)
class TrackConfig:
    """What counts as a track.

    min_face: longer side of the landmarks' box in pixels, below which a face is left out.
    max_roll: degrees between the line of the eyes and level, above which a face is left out.
    min_frames: shorter tracks are left out.
    max_gap: seconds between two frames of a track; a longer gap cuts it.
    """

    min_face: float = 40.0
    max_roll: float = 60.0
    min_frames: int = 5
    max_gap: float = 0.5

    def __post_init__(self) -> None:
        if self.min_face <= 0 or self.min_frames < 1 or self.max_gap <= 0 or not 0 < self.max_roll <= 180:
            raise ValueError(f"min_face, min_frames, max_gap and max_roll (up to 180) must be positive: {self}")


class Look(NamedTuple):
    """What one frame shows. face: None where `lack` says why none in it can be part of a track. person: whose it is."""

    frame: Frame
    face: Face | None
    lack: Reason | None
    person: int


class TrackedClip(NamedTuple):
    """What one clip gave: its tracks in order, how many frames it has, and the damage that ended it early, if any."""

    tracks: list[Track]
    frames: int
    fault: InputError | None


def find_tracks(clip: Clip, config: TrackConfig | None = None) -> list[Track]:
    """The tracks of one clip; see `FindTracks`, which keeps its landmarkers for the next clip."""
    with FindTracks(config or TrackConfig()) as stage:
        return stage(clip).tracks


class FindTracks:
    """Clip -> its tracks.

    Followed is the largest face of each shot. A track ends at a scene change, where its person is gone for longer than
    `max_gap`, and where the next face is somewhere else or looks like somebody else.
    Where the clip has boxes, nobody is followed whose face is not in them. A still gives a track of one frame.
    Raises InputError if the clip has no track: what `read_clip` raises, or, by what most of its frames lacked, no_face,
    face_too_small, face_rolled, too_short.
    """

    def __init__(self, config: TrackConfig) -> None:
        self.config = config
        self._follower = FaceFollower(patience=config.max_gap)

    def __call__(self, clip: Clip) -> TrackedClip:
        if clip.kind == Kind.PICTURE:
            (frame,) = read_clip(clip)
            return TrackedClip([self.still(clip, frame.image)], 1, None)
        drafts: list[TrackDraft] = []
        lacks: Counter[Reason] = Counter()
        frames, size, fault = 0, (0, 0), None
        try:
            for look in self.look(clip):
                frames, size = frames + 1, (look.frame.image.shape[1], look.frame.image.shape[0])
                if look.face is None:
                    lacks[look.lack or Reason.NO_FACE] += 1
                    continue
                if not drafts or not drafts[-1].goes_on(look, self.config.max_gap):
                    drafts.append(TrackDraft(look.person))
                drafts[-1].add(look.frame, look.face)
        except InputError as error:
            if not frames:
                raise
            fault = error
        kept = [draft for draft in drafts if len(draft) >= self.config.min_frames]
        if not kept:
            raise fault or self.no_track(clip, frames, size, len(drafts), lacks)
        return TrackedClip([draft.track(clip, index, *size) for index, draft in enumerate(kept)], frames, fault)

    def look(self, clip: Clip) -> Iterator[Look]:
        """The clip's frames in order, each with the face that is followed. Raises what `read_clip` raises."""
        cuts = SceneCuts()
        self._follower.forget()
        for frame in read_clip(clip):
            face = self._follow(frame, new_shot=cuts(frame.image))
            lack = self._lack(face)
            yield Look(frame, None if lack else face, lack, self._follower.person)

    def still(self, clip: Clip, image: NDArray[np.uint8]) -> Track:
        """The largest face of one picture as a track of one frame at time 0, looked at until it rests.

        Raises InputError: no_face, face_too_small, face_rolled.
        """
        self._follower.forget()
        face = None
        for look in range(_LOOKS_AT_A_STILL):
            face = self._follower(image, look / 25)
        lack = self._lack(face)
        if face is None or lack is not None:
            raise InputError(lack or Reason.NO_FACE, f"{clip.path}: {self._said(lack or Reason.NO_FACE)}")
        draft = TrackDraft(self._follower.person)
        draft.add(Frame(number=0, time=0.0, image=image), face)
        return draft.track(clip, 0, image.shape[1], image.shape[0])

    def _follow(self, frame: Frame, *, new_shot: bool) -> Face | None:
        """The follower's face in this frame; where the frame has a box, nobody but the person in it."""
        if frame.box is None:
            return self._follower(frame.image, frame.time, new_shot=new_shot)
        face = self._follower(_around(frame.image, frame.box), frame.time, new_shot=new_shot)
        if face is not None and not _is_in(frame.box, face):
            self._follower.forget()
            return None
        return face

    def _lack(self, face: Face | None) -> Reason | None:
        """Why this face, the follower's last, cannot be part of a track."""
        if face is None:
            return Reason.FACE_ROLLED if self._follower.turned else Reason.NO_FACE
        if face.size < self.config.min_face:
            return Reason.FACE_TOO_SMALL
        if abs(face.roll) > self.config.max_roll:
            return Reason.FACE_ROLLED
        return None

    def no_track(
        self, clip: Clip, frames: int, size: tuple[int, int], drafts: int, lacks: Counter[Reason]
    ) -> InputError:
        """Why a clip has none. size: of its pictures. drafts: too short ones. lacks: of how many frames which."""
        if frames < self.config.min_frames:
            return InputError(Reason.TOO_SHORT, f"{clip.path}: {frames} frames, fewer than {self.config.min_frames}")
        if drafts:
            return InputError(Reason.TOO_SHORT, f"{clip.path}: no face for {self.config.min_frames} frames on end")
        reason, count = lacks.most_common(1)[0]
        if max(size) < self.config.min_face:  # whatever is in it, or nothing that the detector makes out
            reason, count = Reason.FACE_TOO_SMALL, frames
        return InputError(reason, f"{clip.path}: {self._said(reason)} in {count} of {frames} frames")

    def _said(self, reason: Reason) -> str:
        match reason:
            case Reason.FACE_TOO_SMALL:
                return f"the face is smaller than {self.config.min_face:g} pixels"
            case Reason.FACE_ROLLED:
                return f"the face is turned by more than {self.config.max_roll:g} degrees in the picture"
            case _:
                return "no face found"

    def close(self) -> None:
        self._follower.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def track_picture(image: NDArray[np.uint8], path: str = "picture", config: TrackConfig | None = None) -> Track:
    """The largest face in a still (H, W, 3) uint8 RGB picture, as a track of one frame at time 0.

    path: names the picture in the track's clip and in errors.
    Raises InputError: no_face, face_too_small, face_rolled.
    """
    with FindTracks(config or TrackConfig()) as stage:
        return stage.still(clip_of(path), image)


def _around(image: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The (H, W, 3) picture, black outside the box widened by `_BOX_MARGIN`."""
    margin = _BOX_MARGIN * np.tile(box[2:] - box[:2], 2) * [-1, -1, 1, 1]
    left, top, right, bottom = (box + margin).round().astype(int).clip(0).tolist()
    seen = np.zeros_like(image)
    seen[top:bottom, left:right] = image[top:bottom, left:right]
    return seen


def _is_in(box: NDArray[np.float64], face: Face) -> bool:
    """Whether the middle of the face is in the box."""
    middle = np.add(face.box[:2], face.box[2:]) / 2
    return bool((middle >= box[:2]).all() and (middle <= box[2:]).all())


@dataclass
class TrackDraft:
    """A track, or a piece of one, as it grows. person: whose faces they are."""

    person: int
    numbers: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.faces)

    def goes_on(self, look: Look, max_gap: float) -> bool:
        """Whether the face in a later frame belongs to the track."""
        return look.person == self.person and look.frame.time - self.times[-1] <= max_gap

    def add(self, frame: Frame, face: Face) -> None:
        self.numbers.append(frame.number)
        self.times.append(frame.time)
        self.faces.append(face)

    def track(self, clip: Clip, index: int, width: int, height: int) -> Track:
        times = np.array(self.times, np.float64)
        return Track(
            clip=clip,
            index=index,
            width=width,
            height=height,
            numbers=np.array(self.numbers, np.int64),
            times=times,
            landmarks=steady(times, np.stack([face.landmarks for face in self.faces])),
            head_pose=np.stack([face.rotation for face in self.faces]),
        )

"""Clip -> tracks: one person, frames in order, with landmarks and head pose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.cast import Cast, named_by_rank
from pipeline.clips import Reader, read_clip
from pipeline.closing import Closing
from pipeline.crowd import Crowd, Seen
from pipeline.errors import InputError, Reason
from pipeline.face_alignment import AlignTrack
from pipeline.landmarker import Face
from pipeline.records import Clip, Frame, Kind, Track
from pipeline.scenes import SceneCuts
from pipeline.scratch import on_disk
from pipeline.sources import clip_of
from pipeline.steady import steady

_LOOKS_AT_A_STILL = 3
"""Video mode places its own box anew from the points it found; after three looks they have settled."""

_BOX_MARGIN = 0.3
"""Sides of an annotated box that are seen on each side around it: annotations are tight around the face, and the
landmark model wants to see the head."""

_MOST_FACES = 4
"""People that are followed at once, where more than one is asked for."""

Faces = Literal["largest", "all", "reject"]
Tracker = Literal["mediapipe", "face-alignment"]


@dataclass(frozen=True, kw_only=True)
class TrackConfig:
    """What counts as a track.

    tracker: whose points a track has, MediaPipe's 478 or the 68 of 2D-FAN (`face_alignment`).
    faces: of several people in a picture, follow the largest face of each shot, or all (up to 4), or reject a clip in
    which more than one person has a track, at once or after one another.
    min_face: longer side of the landmarks' box in pixels, below which a face is left out.
    max_roll: degrees between the line of the eyes and level, above which a face is left out.
    min_frames: shorter tracks are left out.
    max_gap: seconds between two frames of a track; a longer gap cuts it. max_frames: of a track; a longer one is cut.
    """

    tracker: Tracker = "mediapipe"
    faces: Faces = "largest"
    min_face: float = 40.0
    max_roll: float = 60.0
    min_frames: int = 5
    max_gap: float = 0.5
    max_frames: int = 1500

    def __post_init__(self) -> None:
        if self.faces not in get_args(Faces):
            raise ValueError(f"faces must be one of {', '.join(get_args(Faces))}, got {self.faces!r}")
        if self.max_frames < self.min_frames:
            raise ValueError(f"max_frames must not be below min_frames: {self}")
        if self.min_face <= 0 or self.min_frames < 1 or self.max_gap <= 0 or not 0 < self.max_roll <= 180:
            raise ValueError(f"min_face, min_frames, max_gap and max_roll (up to 180) must be positive: {self}")


class Look(NamedTuple):
    """What one frame shows: faces that can be part of a track, largest first; lack says why there is none."""

    frame: Frame
    faces: list[Seen]
    lack: Reason | None


class TrackedClip(NamedTuple):
    """What one clip gave: its tracks in order, how many frames it has, and the damage that ended it early, if any."""

    tracks: list[Track]
    frames: int
    fault: InputError | None


def find_tracks(clip: Clip, config: TrackConfig | None = None) -> list[Track]:
    """The tracks of one clip; see `FindTracks`, which keeps its landmarkers for the next clip."""
    with FindTracks(config or TrackConfig()) as stage:
        return stage(clip).tracks


class FindTracks(Closing):
    """Clip -> its tracks.

    Who is followed says `TrackConfig.faces`. A track ends at a scene change, where its person is gone for longer than
    `max_gap`, where the next face is somewhere else or looks like somebody else, and after `max_frames`.
    Tracks of the person whom most frames show have the clip's names; those of anybody else have an identity that ends
    in `~2`, `~3`, ... (`named_by_rank`).
    Where the clip has boxes, nobody is followed whose face is not in them. A still gives tracks of one frame.
    Raises InputError if the clip has no track: what `read_clip` raises, several_faces, or, by what most of its frames
    lacked, no_face, face_too_small, face_rolled, too_short.
    """

    def __init__(self, config: TrackConfig, read: Reader = read_clip) -> None:
        """read: what decodes clips."""
        self.config = config
        self._read = read
        self._align = AlignTrack(config.min_frames) if config.tracker == "face-alignment" else None
        self._crowd = Crowd(patience=config.max_gap, most=1 if config.faces == "largest" else _MOST_FACES)

    def __call__(self, clip: Clip) -> TrackedClip:
        if clip.kind == Kind.PICTURE:
            (frame,) = self._read(clip)
            return TrackedClip(self._stills(clip, frame), 1, None)
        drafts, cast = Drafts(self.config), Cast()
        lacks: Counter[Reason] = Counter()
        frames, size, fault = 0, (0, 0), None
        try:
            for look in self.look(clip):
                frames, size = frames + 1, (look.frame.image.shape[1], look.frame.image.shape[0])
                if look.lack:
                    lacks[look.lack] += 1
                for seen in look.faces:
                    cast.see(look.frame, seen)
                    drafts.of(look.frame, seen.person).add(look.frame, seen.sight.face)
        except InputError as error:
            if not frames:
                raise
            fault = error
        kept = [draft for draft in drafts if len(draft) >= self.config.min_frames]
        if not kept:
            raise fault or self.no_track(clip, frames, size, len(drafts), lacks)
        tracks = self._tracks(clip, kept, cast, size)
        if self._align:
            tracks = [self._align(track, self._read(clip, int(track.numbers[0]))) for track in tracks]
        return TrackedClip(tracks, frames, fault)

    def look(self, clip: Clip) -> Iterator[Look]:
        """The clip's frames in order, each with the faces that are followed. Raises what `read_clip` raises."""
        cuts = SceneCuts()
        self._crowd.forget()
        for frame in self._read(clip):
            yield self._look(frame, self._follow(frame, new_shot=cuts(frame.image)))

    def still(self, clip: Clip, image: NDArray[np.uint8]) -> Track:
        """The largest face of one picture as a track of one frame at time 0, looked at until it rests.

        Raises InputError: no_face, face_too_small, face_rolled, several_faces.
        """
        return self._stills(clip, Frame(number=0, time=0.0, image=image))[0]

    def _stills(self, clip: Clip, frame: Frame) -> list[Track]:
        self._crowd.forget()
        seen: list[Seen] = []
        for number in range(_LOOKS_AT_A_STILL):
            seen = self._crowd(frame.image, number / 25)
        look = self._look(frame, seen)
        if look.lack:
            raise InputError(look.lack, f"{clip.path}: {self._said(look.lack)}")
        drafts, cast = Drafts(self.config), Cast()
        for one in look.faces:
            cast.see(frame, one)
            drafts.of(frame, one.person).add(frame, one.sight.face)
        tracks = self._tracks(clip, list(drafts), cast, (frame.image.shape[1], frame.image.shape[0]))
        return [self._align(track, [frame]) for track in tracks] if self._align else tracks

    def _follow(self, frame: Frame, *, new_shot: bool) -> list[Seen]:
        """Who is seen in this frame; where the frame has a box, nobody but the person in it."""
        box = frame.box
        if box is None:
            return self._crowd(frame.image, frame.time, new_shot=new_shot)
        image = _around(frame.image, box)
        return self._crowd(image, frame.time, new_shot=new_shot, wanted=lambda face: _is_in(box, face))

    def _look(self, frame: Frame, seen: list[Seen]) -> Look:
        """Those of the crowd's last sights that can be part of a track."""
        lacks = [self._lack(one.sight.face) for one in seen]
        faces = [one for one, lack in zip(seen, lacks, strict=True) if lack is None]
        if faces:
            return Look(frame, faces, None)
        return Look(frame, [], lacks[0] if lacks else self._lack_of_faces())

    def _lack(self, face: Face) -> Reason | None:
        """Why this face cannot be part of a track."""
        if face.size < self.config.min_face:
            return Reason.FACE_TOO_SMALL
        return Reason.FACE_ROLLED if abs(face.roll) > self.config.max_roll else None

    def _lack_of_faces(self) -> Reason:
        return Reason.FACE_ROLLED if self._crowd.turned else Reason.NO_FACE

    def _tracks(self, clip: Clip, drafts: list[TrackDraft], cast: Cast, size: tuple[int, int]) -> list[Track]:
        """The drafts as tracks, each under the name of who is in it."""
        ranks = self.ranks(clip, cast, drafts)
        named = [named_by_rank(clip, ranks[draft.person]) for draft in drafts]
        return [draft.track(named[index], index, *size) for index, draft in enumerate(drafts)]

    def ranks(self, clip: Clip, cast: Cast, drafts: list[TrackDraft]) -> dict[int, int]:
        """See `Cast.ranks`. Raises InputError (several_faces) for several people, where the config rejects them."""
        ranks = cast.ranks({draft.person: None for draft in drafts})
        people = len(set(ranks.values()))
        if self.config.faces == "reject" and people > 1:
            raise InputError(Reason.SEVERAL_FACES, f"{clip.path}: {people} people have tracks in it")
        return ranks

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
        self._crowd.close()


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
    _ended: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def goes_on(self, time: float, config: TrackConfig) -> bool:
        """Whether another face of its person, at a later time, belongs to the track."""
        return len(self) < config.max_frames and time - self.times[-1] <= config.max_gap

    def add(self, frame: Frame, face: Face) -> None:
        self.numbers.append(frame.number)
        self.times.append(frame.time)
        self.faces.append(face)

    def end(self) -> None:
        """Nothing more is added: a long video has many tracks, and their points wait on disk."""
        landmarks, head_pose = self._points()
        kept = on_disk(landmarks.shape, np.float32)
        kept[:] = landmarks
        self._ended = kept, head_pose
        self.faces.clear()

    def _points(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Steadied landmarks and head poses."""
        landmarks = steady(np.array(self.times), np.stack([face.landmarks for face in self.faces]))
        return landmarks, np.stack([face.rotation for face in self.faces])

    def track(self, clip: Clip, index: int, width: int, height: int) -> Track:
        landmarks, head_pose = self._ended or self._points()
        return Track(
            clip=clip,
            index=index,
            width=width,
            height=height,
            numbers=np.array(self.numbers, np.int64),
            times=np.array(self.times, np.float64),
            landmarks=landmarks,
            head_pose=head_pose,
        )


class Drafts:
    """The tracks of a clip as they grow, in the order of their first frames."""

    def __init__(self, config: TrackConfig) -> None:
        self._config = config
        self._all: list[TrackDraft] = []
        self._last: dict[int, TrackDraft] = {}

    def of(self, frame: Frame, person: int) -> TrackDraft:
        """The track to which a face of this person in this frame belongs, begun if need be."""
        draft = self._last.get(person)
        if draft is None or not draft.goes_on(frame.time, self._config):
            if draft is not None:
                draft.end()
            draft = self._last[person] = TrackDraft(person)
            self._all.append(draft)
        return draft

    def __iter__(self) -> Iterator[TrackDraft]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

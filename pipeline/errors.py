"""Expected faults of inputs and outputs, as the reader of a ledger sees them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why an input gave nothing, or less than it holds: a closed vocabulary, one word in the ledger."""

    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    NOT_VIDEO = "not_video"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    FACE_TOO_SMALL = "face_too_small"
    FACE_ROLLED = "face_rolled"
    TOO_SHORT = "too_short"
    SCENE_MISMATCH = "scene_mismatch"
    DECODE_TIMEOUT = "decode_timeout"
    BAD_ANNOTATION = "bad_annotation"
    MISSING_VIDEO = "missing_video"
    UNUSABLE = "unusable"
    """It is something else than is needed there, or belongs to another face model."""
    UNWRITABLE = "unwritable"
    DISK_FULL = "disk_full"
    WORKER_DIED = "worker_died"
    UNEXPECTED = "unexpected"
    """An error in this program."""


class PipelineError(Exception):
    """A fault the user can act on; its text is one line that names the file and what to do."""


class InputError(PipelineError):
    """An input that cannot be used, with the `Reason` that its ledger row gets."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[InputError], tuple[Reason, str]]:
        return type(self), (self.reason, self.message)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something of an input that was left out, found before any video is opened.

    path: the file at fault, or that names what is missing. line: counted from 1; None where the whole file is meant.
    """

    path: str
    line: int | None
    reason: Reason
    problem: str

    def __str__(self) -> str:
        """One line, the file first."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.problem}"

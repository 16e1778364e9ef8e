"""Expected faults of inputs and outputs, as the reader of a ledger sees them."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why an input gave nothing, or less than it holds: a closed vocabulary, one word in the ledger."""

    UNREADABLE = "unreadable"
    TRUNCATED = "truncated"
    NOT_VIDEO = "not_video"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_FACE = "no_face"
    FACE_TOO_SMALL = "face_too_small"
    FACE_ROLLED = "face_rolled"
    TOO_SHORT = "too_short"


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

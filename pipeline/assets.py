"""Files of others that the package carries, checked before they are used."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from pipeline.errors import PipelineError

_DATA = Path(__file__).parent / "data"
_FACE_LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"


@cache
def face_landmarker_file() -> Path:
    """MediaPipe's face landmarker task file; its content is checked once a process.

    Raises PipelineError if it is missing or not the published file.
    """
    return checked_file(_DATA / "face_landmarker.task", _FACE_LANDMARKER_SHA256)


def checked_file(path: Path, sha256: str) -> Path:
    """The same path, once the file there has this SHA-256 (hex). Raises PipelineError otherwise."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror}); install the package again") from None
    if found != sha256:
        raise PipelineError(f"{path}: not the expected file (SHA-256 {found[:12]}...); install the package again")
    return path

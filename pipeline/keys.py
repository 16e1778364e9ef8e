"""Names of samples: `identity/video/clip/track/frame`, safe inside a WebDataset tar and readable back.

Each part is percent-encoded as in a URL, so that `urllib.parse.unquote` alone gives the name back. Kept are ASCII
letters, digits, `_` and `-`; every other byte of the UTF-8 name is encoded, the dot too, for WebDataset ends a key at
its first dot. Of the kept ones are encoded a leading `-`, which looks like an option once the tar is unpacked, and the
first of two leading `_`, for WebDataset skips members named like `__this__`.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

_ENCODED = re.compile(rb"[^A-Za-z0-9_-]|\A-|\A_(?=_)")


class Key(NamedTuple):
    """Which frame of whom. track: number of the track in its clip. frame: number of the frame in its clip."""

    identity: str
    video: str
    clip: str
    track: int
    frame: int

    def __str__(self) -> str:
        return f"{track_prefix(self.identity, self.video, self.clip, self.track)}{self.frame:06d}"


def track_prefix(identity: str, video: str, clip: str, track: int) -> str:
    """What the keys of all frames of a track begin with; ends in a slash."""
    return "".join(f"{part}/" for part in (escape(identity), escape(video), escape(clip), track))


def parse_key(key: str) -> Key:
    """The inverse of `str(Key(...))`. Raises ValueError for other texts."""
    identity, video, clip, track, frame = key.split("/")
    return Key(unescape(identity), unescape(video), unescape(clip), int(track), int(frame))


def escape(part: str) -> str:
    """A name as one part of a key. Bytes of a file name that are not UTF-8 survive as Python holds them.

    Raises ValueError for an empty name, which no part of a key can stand for.
    """
    if not part:
        raise ValueError("a part of a key must not be empty")
    encoded = _ENCODED.sub(lambda match: b"%%%02X" % match[0][0], part.encode("utf-8", "surrogateescape"))
    return encoded.decode("ascii")


def unescape(part: str) -> str:
    """The inverse of `escape`."""
    return unquote(part, errors="surrogateescape")

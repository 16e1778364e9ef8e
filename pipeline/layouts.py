"""The names of a clip, by where it lies: the layouts in which talking-head sets are kept, and plain folders.

| layout | a clip is |
| --- | --- |
| `voxceleb` | `<person>/<video>/<utterance>.mp4`, VoxCeleb1 and 2; annotations end in `.txt` |
| `video-preprocessing` | `<person>#<video>#<start>#<end>.mp4`, a file or a folder of frames |
| `gdpw` | `<person>/<video>/<clip>`, a training folder of the original |
| `plain` | anything; identity and video are its own stem, or its path where other folders have that stem too |

`auto` takes the first layout whose strict form fits, else `plain`. Strict: a person of VoxCeleb is `id` and five
digits, a video has the 11 characters of an upload's name, an utterance five digits, a frame number at least six; a
training folder is known by what it holds. A layout that is asked for takes any names in these places.
A known layout is read off the whole path, so that a part of a set gets the same names as all of it, and a folder
`dev`, `train` or `test` just above the person (above `mp4` or `txt`, where there is one) says the split. Plain names
depend on the path below the input alone, and so does their split: the nearest folder of such a name.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from pipeline.errors import PipelineError
from pipeline.media import stem_of
from pipeline.records import Kind
from pipeline.storage import whole_name

Layout = Literal["auto", "plain", "voxceleb", "video-preprocessing", "gdpw"]

SPLITS = {"dev": "train", "train": "train", "test": "test"}
"""What published sets call their parts, and what we call them."""

_SET = r"(?:(?<![^/])(?P<set>dev|train|test)/(?:(?:mp4|txt)/)?)?"
_SUFFIX = r"(?:\.[^./]+)?\Z"
_THREE_PARTS = _SET + r"(?<![^/])(?P<identity>[^/]+)/(?P<video>[^/]+)/(?P<clip>[^/]+?)"

_STRICT = {
    "voxceleb": re.compile(
        _SET + r"(?<![^/])(?P<identity>id\d{5})/(?P<video>[\w-]{11})/(?P<clip>\d{5})" + _SUFFIX, re.ASCII
    ),
    "video-preprocessing": re.compile(
        _SET + r"(?<![^/])(?P<identity>[^/#]+)#(?P<video>[\w-]{11})#(?P<clip>\d{6,}#\d{6,})" + _SUFFIX, re.ASCII
    ),
}
_ANY_NAMES = {
    "voxceleb": re.compile(_THREE_PARTS + _SUFFIX),
    "video-preprocessing": re.compile(
        _SET + r"(?<![^/])(?P<identity>[^/#]+)#(?P<video>[^/#]+)#(?P<clip>\d+#\d+)" + _SUFFIX, re.ASCII
    ),
}
_TRAINING_FOLDER = re.compile(_THREE_PARTS + r"\Z")


class Names(NamedTuple):
    """What a clip's samples go by. split: train, test, or None where the layout does not say."""

    identity: str
    video: str
    clip: str
    split: str | None


def check_layout(layout: str) -> None:
    """Raise PipelineError for a layout that there is not."""
    if layout not in get_args(Layout):
        raise PipelineError(f"layout {layout!r}: not one of {', '.join(get_args(Layout))}")


def known_names(path: str | Path, kind: Kind | None, layout: Layout = "auto") -> Names | None:
    """The names of what lies at `path`, or None if the layout has no place for it; kind None is an annotation."""
    place = whole_name(path)
    if kind == Kind.GDPW_FOLDER:
        return _names(_TRAINING_FOLDER.search(place)) if layout in ("auto", "gdpw") else None
    patterns = _STRICT if layout == "auto" else _ANY_NAMES
    layouts = ("voxceleb",) if kind is None else ("voxceleb", "video-preprocessing")
    candidates = (patterns[name] for name in layouts if layout in (name, "auto"))
    return next((names for pattern in candidates if (names := _names(pattern.search(place)))), None)


def utterance_place(place: str) -> str:
    """What the path of an utterance of VoxCeleb and the path of its text file have in common."""
    return re.sub(r"(?<![^/])(?:mp4|txt)/(?=[^/]+/[^/]+/[^/]+\Z)", "", os.path.splitext(place)[0])


def shared_stems(places: Iterable[tuple[str, Kind]]) -> set[str]:
    """The stems that lie in several folders: `ann/01.mp4` and `bob/01.mp4` show two people, for all that is known."""
    folders: dict[str, str] = {}
    shared = set()
    for place, kind in places:
        stem, folder = stem_of(place, kind), place.rpartition("/")[0]
        if folders.setdefault(stem, folder) != folder:
            shared.add(stem)
    return shared


def plain_names(path: str | Path, place: str, kind: Kind, shared: Collection[str] = ()) -> Names:
    """Names where no layout is known.

    place: path below the input, or the file's name if it is the input itself. shared: stems that say not enough.
    """
    stem = stem_of(path, kind)
    folder = place.rpartition("/")[0]
    if stem in shared and folder:
        stem = f"{folder}/{stem}"
    split = next((SPLITS[folder] for folder in reversed(place.split("/")[:-1]) if folder in SPLITS), None)
    return Names(stem, stem, place, split)


def _names(match: re.Match[str] | None) -> Names | None:
    if match is None:
        return None
    identity, video, clip = map(sys.intern, match.group("identity", "video", "clip"))  # millions of clips share them
    return Names(identity, video, clip, SPLITS.get(match["set"]))

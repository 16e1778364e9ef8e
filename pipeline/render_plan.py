"""What `render` is to make: jobs out of a list, out of two folders, or out of the tracks of a dataset.

The same inputs give the same jobs in the same order, under the same names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.errors import Fault, InputError, PipelineError, Reason
from pipeline.keys import track_prefix
from pipeline.ledger import read_manifest
from pipeline.media import find_media, kind_of, stem_of
from pipeline.records import Kind
from pipeline.storage import join
from pipeline.tables import read_rows

SUFFIX = ".mp4"
COLUMNS = ("source", "driving", "output")
DRIVES = frozenset((Kind.VIDEO, Kind.FRAMES, Kind.GDPW_FOLDER))
"""What of a folder drives; a still does only where it is named itself."""

_LONGEST = 100
"""Characters of a name in bytes that do no harm: a file system takes 255 bytes, and a temporary name is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderJob:
    """One animation.

    source, driving: as `reenact` takes them. output: the file, from the output folder, with slashes. options: names
    and values of what is asked of this job alone, as text.
    """

    source: str
    driving: str
    output: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RenderPlan:
    """The jobs in order, and a fault for each row of a list that is none."""

    jobs: list[RenderJob]
    faults: list[Fault]


@dataclass(frozen=True)
class Pairing:
    """How sources meet drivers: all with all, the first with the first, or so many of all pairs, drawn by seed."""

    kind: str
    count: int = 0
    seed: int = 0

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> Pairing:
        """From `all`, `zip` or `random:N`. Raises ValueError for another text."""
        if text in ("all", "zip"):
            return cls(text)
        if found := re.fullmatch(r"random:([1-9][0-9]{0,8})", text):
            return cls("random", int(found[1]), seed)
        raise ValueError(f"{text!r} is not all, zip or random:N")

    def __call__(self, sources: int, drivings: int) -> Iterator[tuple[int, int]]:
        """Numbers of source and driver of each pair; in order of the sources, then of the drivers.

        Raises PipelineError where the numbers do not fit.
        """
        pairs = sources * drivings
        match self.kind:
            case "all":
                chosen: Iterable[int] = range(pairs)
            case "zip":
                if sources != drivings:
                    raise PipelineError(f"zip needs as many drivers as sources, found {drivings} for {sources}")
                chosen = range(0, pairs, drivings + 1)
            case _:
                if self.count > pairs:
                    raise PipelineError(f"random:{self.count} is more than the {pairs} pairs that there are")
                chosen = np.sort(np.random.default_rng(self.seed).choice(pairs, self.count, replace=False)).tolist()
        return (divmod(number, drivings) for number in chosen)


ALL = Pairing("all")


@dataclass(frozen=True, slots=True)
class Named:
    """An input and what it is called in the names of the results."""

    input: str
    name: str


def list_jobs(path: Path, options: Collection[str] = ()) -> RenderPlan:
    """The jobs of a CSV, JSONL or Parquet file with the columns `source` and `driving`, in its order.

    Paths are relative to the list's folder. Column `output`: the file's name in the output folder; where the cell is
    empty, the name is made of those of source and driver. options: the other columns that there may be; an empty cell
    asks for nothing. Rows that cannot be used are faults: bad_annotation.
    Raises PipelineError if the list cannot be read or has other columns than these.
    """
    jobs, faults = [], []
    names = _Names()
    for line, cells, problem in read_rows(path, *COLUMNS[:2]):
        cells = {name.lower(): value for name, value in cells.items()}
        unknown = sorted(cells.keys() - {*COLUMNS, *options})
        if unknown:
            raise PipelineError(
                f"{path}: no such column: {', '.join(unknown)}; there are {', '.join([*COLUMNS, *options])}"
            )
        try:
            if problem:
                raise InputError(Reason.BAD_ANNOTATION, problem)
            jobs.append(_listed_job(path.parent, cells, names))
        except InputError as error:
            faults.append(Fault(path=str(path), line=line, reason=error.reason, problem=error.message))
    return RenderPlan(jobs, faults)


def pair_jobs(sources: Path, drivings: Path, pairing: Pairing) -> RenderPlan:
    """Jobs that pair the stills in `sources` with the videos and folders of frames in `drivings`.

    Either may be one file. Raises PipelineError where there is none, or the pairing does not fit.
    """
    animated = find_sources(sources)
    driving = _find(drivings, DRIVES, "video or folder of frames")
    return _paired(animated, driving, pairing)


def dataset_jobs(dataset: Path, sources: Path | None = None, pairing: Pairing = ALL) -> RenderPlan:
    """Jobs that every track of a dataset drives: the stills in `sources`, or, without them, its own first frame.

    Raises PipelineError where the dataset cannot be read or has no track, there is no still, or the pairing does not
    fit.
    """
    tracks = read_manifest(dataset)
    if not tracks:
        raise PipelineError(f"{dataset}: no track in it")
    places = [track_prefix(row.identity, row.video, row.clip, row.track).rstrip("/") for row in tracks]
    drivings = [f"{dataset}::{place}" for place in places]
    clips = [f"{row.video}_{row.clip}_{row.track}" for row in tracks]
    if sources is not None:
        named = [Named(name, f"{row.identity}_{clip}") for name, row, clip in zip(drivings, tracks, clips, strict=True)]
        return _paired(find_sources(sources), named, pairing)
    names = _Names()
    jobs = [
        RenderJob(source=f"{driving}@{row.numbers[0]}", driving=driving, output=names.free(row.identity, clip))
        for driving, row, clip in zip(drivings, tracks, clips, strict=True)
    ]
    return RenderPlan(jobs, [])


def find_sources(sources: Path) -> list[Named]:
    """The stills in a folder, or the one file. Raises PipelineError where there is none."""
    return _find(sources, frozenset((Kind.PICTURE,)), "still picture")


def _paired(sources: list[Named], drivings: list[Named], pairing: Pairing) -> RenderPlan:
    names = _Names()
    jobs = [
        RenderJob(
            source=sources[i].input,
            driving=drivings[j].input,
            output=names.free(sources[i].name, drivings[j].name),
        )
        for i, j in pairing(len(sources), len(drivings))
    ]
    return RenderPlan(jobs, [])


def _find(root: Path, kinds: Collection[Kind], what: str) -> list[Named]:
    """What of these kinds lies at or below a path, in order of their places."""
    if not root.exists():
        raise PipelineError(f"{root}: no such file or folder")
    if root.is_file():
        return [Named(str(root), stem_of(root, kind_of(root) or Kind.VIDEO))]
    found = sorted((media.place, media.kind) for media in find_media(root) if media.kind in kinds)
    if not found:
        raise PipelineError(f"{root}: no {what} in it")
    return [Named(str(root / place), _called(root, place, kind)) for place, kind in found]


def _called(root: Path, place: str, kind: Kind | None) -> str:
    stem = stem_of(root / place, kind or Kind.VIDEO)
    return str(PurePosixPath(place).with_name(stem)) if place else stem


def _listed_job(folder: Path, cells: dict[str, str], names: _Names) -> RenderJob:
    """Raises InputError, saying what is wrong with the row."""
    empty = [name for name in COLUMNS[:2] if not cells[name]]
    if empty:
        raise InputError(Reason.BAD_ANNOTATION, f"{' and '.join(empty)} empty")
    source, driving = cells["source"], cells["driving"]
    output = cells.get("output")
    return RenderJob(
        source=_located(folder, source),
        driving=_located(folder, driving),
        output=names.taken(output) if output else names.free(_bare(source), _bare(driving)),
        options=tuple(sorted((name, cells[name]) for name in cells.keys() - set(COLUMNS) if cells[name])),
    )


def _located(folder: Path, text: str) -> str:
    """A path of a list as seen from here; URLs stay as they are."""
    return join(folder, text)


def _bare(text: str) -> str:
    """What an input of a list is called: its last part without suffix, or the part of a dataset that it names."""
    if "::" in text:
        return text.partition("::")[2]
    name = PurePosixPath(text).name
    file, at, moment = name.partition("@")
    return f"{PurePosixPath(file).stem}{at}{moment}"


class _Names:
    """Names of results, each given once; names that differ in case alone count as the same."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._again: Counter[str] = Counter()

    def taken(self, wanted: str) -> str:
        """A name that somebody chose. Raises InputError where it may not be used."""
        name = wanted if wanted.lower().endswith(SUFFIX) else wanted + SUFFIX
        parts = name.split("/")
        if (
            "\\" in name
            or ":" in name
            or not name.isprintable()
            or any(part.startswith(".") or not part for part in parts)
        ):
            lack = "names of a file below the output folder have slashes between parts, none of which begins with a dot"
            raise InputError(Reason.BAD_ANNOTATION, f"output {wanted!r}: {lack}")
        if max(len(part.encode()) for part in parts) > 2 * _LONGEST:
            raise InputError(Reason.BAD_ANNOTATION, f"output: a name longer than {2 * _LONGEST} bytes")
        if name.casefold() in self._given:
            raise InputError(Reason.BAD_ANNOTATION, f"output {wanted!r} is that of a row before")
        self._given.add(name.casefold())
        return name

    def free(self, source: str, driving: str) -> str:
        """`SOURCE/DRIVING.mp4`; a name that is given already is counted up."""
        stem = f"{_tame(source)}/{_tame(driving)}"
        name = f"{stem}{SUFFIX}"
        while name.casefold() in self._given:
            self._again[stem] += 1
            name = f"{stem}-{self._again[stem] + 1}{SUFFIX}"
        self._given.add(name.casefold())
        return name


def _tame(name: str) -> str:
    """A name as one part of a path: what is special to a shell, a file system or a terminal becomes `_`."""
    name = re.sub(r"[^\w.@+=,#%~ -]", "_", name.encode("utf-8", "replace").decode(), flags=re.UNICODE)
    name = name.encode()[:_LONGEST].decode("utf-8", "ignore").strip(" .-")
    return name or "_"

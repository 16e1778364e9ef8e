"""What is known of a run so far: the result of each of its items, kept as soon as it is known.

A result is a small file of its own in a hidden folder of the run's output, which appears whole or not at all, so that a
run that was killed goes on where it ended, and others can read how far it has come. Whenever there are `PACKED` such
files, the run that writes them puts them together in one (`packs`) and then removes them: of a million results there
are a hundred files to list and to read. `config.json` in that folder holds the options that made them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.atomic import atomic_path, sweep
from pipeline.errors import PipelineError
from pipeline.packs import Packs
from pipeline.storage import read_many, remove, tree

FOLDER = ".pieces"
PACKED = 10_000
"""Results in files of their own of which a pack is made: some 25 MB."""
_CONFIG, _PACKS, _SUFFIX = "config.json", "packs", ".json"


class OtherConfigError(PipelineError):
    """The folder holds results of other options. differences: a line for each."""

    def __init__(self, folder: Path, differences: list[str]) -> None:
        super().__init__(f"{folder}: was begun with other options ({'; '.join(differences)}); choose another folder")
        self.differences = differences


class Pieces:
    """Results of a run's items. out: the folder that the run writes.

    A key is any text that names the item within the run; a result is whatever JSON holds. One process at a time begins
    and writes, and knows what lies in files of its own without reading it again; any other may read meanwhile.
    """

    def __init__(self, out: Path, packed: int = PACKED) -> None:
        self.out = out
        self._packed = packed
        self._packs = Packs(self.folder / _PACKS)
        self._loose: dict[str, bytes] | None = None  # what no pack holds yet; None before `begin`

    @property
    def folder(self) -> Path:
        return self.out / FOLDER

    @property
    def begun(self) -> bool:
        """Whether a run has begun here."""
        return self.folder.is_dir()

    def begin(self, config: Mapping[str, Any]) -> None:
        """Begin a run, or go on with one; what a killed one left half written in its output is removed.

        config: the options that decide what the results are, as JSON holds them.
        Raises OtherConfigError if the results here were made with other ones, PipelineError where nothing can be
        written.
        """
        if (self.folder / _CONFIG).exists():
            differences = _differences(self.config(), json.loads(json.dumps(config)))
            if differences:
                raise OtherConfigError(self.out, differences)
        else:
            _write(self.folder / _CONFIG, json.dumps(config).encode())
        sweep(self.out)
        self._packs = Packs(self.folder / _PACKS)
        self._loose = self._read_files()
        self._pack()

    def config(self) -> dict[str, Any]:
        """The options that the run was begun with. Raises PipelineError where none has begun."""
        return dict(_read(self.folder / _CONFIG))

    def write(self, key: str, result: Any) -> None:
        """Keep the result of an item, in place of a former one."""
        self._keep(key, {"key": key, "result": result})

    def read(self, key: str) -> Any:
        """The result of an item. Raises KeyError if there is none yet."""
        data = self._read_file(key) if self._loose is None else self._loose.get(key)
        piece = _parsed(self._path(key), data or self._packs.get(key) or b"{}")
        if "result" not in piece:
            raise KeyError(key)
        return piece["result"]

    def get(self, key: str) -> Any:
        """The result of an item, None where there is none yet."""
        try:
            return self.read(key)
        except KeyError:
            return None

    def read_all(self) -> Iterator[tuple[str, Any]]:
        """Keys and results so far, in no order."""
        loose = self._read_files() if self._loose is None else dict(self._loose)  # first: they move into the packs
        packed = ((key, data) for key, data in self._packs.items() if key not in loose)
        for key, data in chain(loose.items(), packed):
            piece = _parsed(self._path(key), data)
            if "result" in piece:
                yield key, piece["result"]

    def remove(self, key: str) -> None:
        """Forget the result of an item, so that it is worked out again."""
        self._keep(key, {"key": key})  # a pack may hold it

    def _keep(self, key: str, piece: dict[str, Any]) -> None:
        data = json.dumps(piece).encode()
        _write(self._path(key), data)
        if self._loose is not None:
            self._loose[key] = data
            self._pack()

    def _pack(self) -> None:
        """Put together what lies in files of its own, once that is enough."""
        if self._loose and len(self._loose) >= self._packed:
            self._packs.add(self._loose)
            remove(map(self._path, self._loose))
            self._loose = {}

    def _read_file(self, key: str) -> bytes | None:
        """A result out of its own file; None where it has none, or no longer."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError:
            return None

    def _read_files(self) -> dict[str, bytes]:
        """All results in files of their own, without those that the run packs meanwhile."""
        names = [path for path in tree(self.folder) if path.suffix == _SUFFIX and path.name[0] != "."]
        try:
            found = dict(read_many(path for path in names if path.parent != self.folder))
        except FileNotFoundError:  # packed since they were listed
            return self._read_files()
        return {_parsed(path, data)["key"]: data for path, data in found.items()}

    def _path(self, key: str) -> Path:
        return self.folder / file_name(key, _SUFFIX)


def file_name(key: str, suffix: str) -> str:
    """A file's name for any key, the same for the same key, in one of 256 folders: many items share a run."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{digest[:2]}/{digest[2:34]}{suffix}"


def _write(path: Path, data: bytes) -> None:
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def _read(path: Path) -> Any:
    try:
        return _parsed(path, path.read_bytes())
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror or error})") from error


def _parsed(path: Path, data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise PipelineError(f"{path}: cannot be read; delete it, and the run works it out again") from error


def _differences(there: Any, now: Any, name: str = "") -> list[str]:
    """Where two configs differ, a line an option: its name with dots, what is stored, what is asked for."""
    if isinstance(there, dict) and isinstance(now, dict):
        names = dict.fromkeys([*there, *now])
        prefix = f"{name}." if name else ""
        return [line for part in names for line in _differences(there.get(part), now.get(part), f"{prefix}{part}")]
    return [] if there == now else [f"{name}: {json.dumps(there)} there, {json.dumps(now)} now"]

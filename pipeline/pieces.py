"""What is known of a run so far: the result of each of its items, in a small file of its own.

The files lie in a hidden folder of the run's output and appear whole or not at all, so that a run that was killed goes
on where it ended, and others can read how far it has come. `config.json` there holds the options that made them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import atomic_path, sweep
from pipeline.errors import PipelineError
from pipeline.storage import read_many, tree

FOLDER = ".pieces"
_CONFIG = "config.json"


class OtherConfigError(PipelineError):
    """The folder holds results of other options. differences: a line for each."""

    def __init__(self, folder: Path, differences: list[str]) -> None:
        super().__init__(f"{folder}: was begun with other options ({'; '.join(differences)}); choose another folder")
        self.differences = differences


@dataclass(frozen=True)
class Pieces:
    """Results of a run's items. out: the folder that the run writes.

    A key is any text that names the item within the run; a result is whatever JSON holds.
    """

    out: Path

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
            _write(self.folder / _CONFIG, config)
        sweep(self.out)

    def config(self) -> dict[str, Any]:
        """The options that the run was begun with. Raises PipelineError where none has begun."""
        return dict(_read(self.folder / _CONFIG))

    def write(self, key: str, result: Any) -> None:
        """Keep the result of an item, in place of a former one."""
        _write(self._path(key), {"key": key, "result": result})

    def read(self, key: str) -> Any:
        """The result of an item. Raises KeyError if there is none yet."""
        path = self._path(key)
        if not path.exists():
            raise KeyError(key)
        return _read(path)["result"]

    def get(self, key: str) -> Any:
        """The result of an item, None where there is none yet."""
        try:
            return self.read(key)
        except KeyError:
            return None

    def read_all(self) -> Iterator[tuple[str, Any]]:
        """Keys and results so far, in no order."""
        pieces = (path for path in tree(self.folder) if path.parent != self.folder and path.name[0] != ".")
        for path, data in read_many(pieces):
            piece = _parsed(path, data)
            yield piece["key"], piece["result"]

    def remove(self, key: str) -> None:
        """Forget the result of an item, so that it is worked out again."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / file_name(key, ".json")


def file_name(key: str, suffix: str) -> str:
    """A file's name for any key, the same for the same key, in one of 256 folders: many items share a run."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{digest[:2]}/{digest[2:34]}{suffix}"


def _write(path: Path, content: Any) -> None:
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content))


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

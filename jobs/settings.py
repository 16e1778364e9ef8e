"""Settings from YAML and from `--set a.b=c` into frozen dataclasses, with every name and type checked."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from jobs.outputs import MisuseError

Config = TypeVar("Config")
Tree = Mapping[str, Any]


def change(config: Config, changes: Tree, where: str = "") -> Config:
    """A copy with other values, given as a tree of names.

    Raises MisuseError for a name that is not there, with the nearest that is, a value of another type, or one that the
    dataclass refuses.
    """
    hints = get_type_hints(type(config))
    names = [field.name for field in fields(config)]  # type: ignore[arg-type]
    values = {}
    for name, value in changes.items():
        if name not in names:
            raise MisuseError(f"there is no setting {where}{name}{_nearest(name, names)}")
        current = getattr(config, name)
        if is_dataclass(current) and isinstance(value, Mapping):
            values[name] = change(current, value, f"{where}{name}.")
        else:
            values[name] = _convert(value, hints[name], f"{where}{name}")
    try:
        return replace(config, **values)  # type: ignore[type-var]
    except ValueError as error:
        raise MisuseError(f"{where.rstrip('.') or 'settings'}: {error}") from error


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` -> `{"a": {"b": 1}, "c": "x"}`; values are YAML. Raises MisuseError for other text."""
    tree: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise MisuseError(f"--set {assignment}: write name=value, as in learning_rate.base=0.0001")
        *groups, name = path.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise MisuseError(f"--set {assignment}: {group} has a value already, it has no settings in it")
        try:
            place[name] = _number(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise MisuseError(f"--set {assignment}: the value is no YAML") from error
    return tree


def read_settings(path: Path) -> dict[str, Any]:
    """The tree in a YAML file. Raises MisuseError if it holds none."""
    try:
        tree = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MisuseError(f"{path}: no readable YAML ({' '.join(str(error).split())})") from error
    if not isinstance(tree or {}, dict):
        raise MisuseError(f"{path}: not settings by name")
    return tree or {}


def as_yaml(tree: Tree) -> str:
    """The text that `read_settings` reads, in the order of the tree."""
    return yaml.safe_dump(dict(tree), sort_keys=False)


def _nearest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0)
    return f"; the nearest is {close[0]}" if close else ""


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = [argument for argument in arguments if argument is not type(None)]
        return _convert(value, hint, where)
    if origin is Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_convert(each, arguments[0], where) for each in value)
    value = _number(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    wanted = f"one of {', '.join(map(str, arguments))}" if origin is Literal else getattr(hint, "__name__", hint)
    raise MisuseError(f"{where} must be {wanted}, got {value!r}")


def _number(value: Any) -> Any:
    """YAML 1.1 takes 2e-4 for text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    return value

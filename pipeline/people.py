"""Who of a set is for training and who for testing: the tables of people that come with VoxCeleb1 and VoxCeleb2."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import Fault, PipelineError, Reason
from pipeline.layouts import SPLITS
from pipeline.tables import read_headings, read_table

_PERSON, _SET = ("id", "voxceleb1 id", "voxceleb2 id"), "set"


def is_table_of_people(path: str | Path) -> bool:
    """Whether the headings are those of such a table. Raises PipelineError if the file cannot be read."""
    headings = read_headings(path)
    return _SET in headings and any(heading in headings for heading in _PERSON)


def read_people(path: str | Path) -> tuple[dict[str, str], list[Fault]]:
    """Person -> train or test, and the rows that cannot be used.

    Raises PipelineError if the file cannot be read or is no table of people.
    """
    person = next((heading for heading in read_headings(path) if heading in _PERSON), None)
    if person is None:
        raise PipelineError(f"{path}: no column {' or '.join(_PERSON)} in its first line")
    people: dict[str, str] = {}
    faults: list[Fault] = []
    for line, cells, problem in read_table(path, _SET):
        try:
            if problem:
                raise ValueError(problem)
            if cells[_SET].lower() not in SPLITS:
                raise ValueError(f"set is {cells[_SET]!r}, not one of {', '.join(SPLITS)}")
            split = SPLITS[cells[_SET].lower()]
            if people.setdefault(cells[person], split) != split:
                raise ValueError(f"{cells[person]} again, in another set")
        except ValueError as error:
            faults.append(Fault(path=str(path), line=line, reason=Reason.BAD_ANNOTATION, problem=str(error)))
    return people, faults

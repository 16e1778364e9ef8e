"""What a person types to edit a face, line by line: the published language, and what this project adds to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fit_deca.codes import Codes
from fit_deca.editing import PARAMETERS, parameter_values, parse_edits
from jobs.outputs import MisuseError, new_file
from pipeline.edit_file import SUFFIX
from pipeline.edit_session import EditSession

HELP = """\
shape <0..99> <-2..2>                          one coefficient of the head's shape
exp <0..49> <-2..2>                            one coefficient of the expression
global_pose <yaw|pitch|roll> <degrees>         the head; likewise jaw_pose, leye_pose, reye_pose
cam <scale|tx|ty> <value>                      the camera's scale and shift
                                               several at once: shape 0 1.5 exp 0 -1 jaw_pose pitch 5
reset                                          all edits away
undo, redo                                     one line back, and forth again
show                                           the values as they are; * marks what differs from the portrait
save FILE.npz, load FILE.npz                   the codes as a file, which reenact and render take as driving
help, quit"""

STEPS = {"reset": EditSession.reset, "undo": EditSession.undo, "redo": EditSession.redo}
FILES = ("save", "load")
WORDS = (*STEPS, "show", *FILES, "help", "quit")
"""What a line may say beside triples."""

_SHOWN = 10
"""Leading coefficients that are shown, changed or not, and edits that are told one by one."""

_NOTICEABLE = 1e-3


class Reply(NamedTuple):
    """text: for the person. changed: the face is another one. ended: that was the last line."""

    text: str
    changed: bool = False
    ended: bool = False


def obey(session: EditSession, line: str, *, overwrite: bool = False) -> Reply:
    """Do what a line says. overwrite: whether `save` may replace a file.

    Raises PipelineError, one line that says what is wrong; then nothing has changed.
    """
    word, _, rest = line.strip().partition(" ")
    match word, rest.strip():
        case "", _:
            return Reply("")
        case "help", "":
            return Reply(HELP)
        case "show", "":
            return Reply(show(session))
        case "quit", "":
            return Reply("", ended=True)
        case (("save" | "load"), ""):
            raise MisuseError(f"{word}: name a file, {word} FILE{SUFFIX}")
        case "save", name:
            path = Path(name).expanduser()
            new_file(path, SUFFIX, overwrite=overwrite)
            session.save(path)
            return Reply(f"{path}: saved")
        case "load", name:
            session.load(Path(name).expanduser())
        case _:
            change(session, line)
    return Reply(summary(session), changed=True)


def change(session: EditSession, line: str, *, amend: bool = False) -> None:
    """Make the edits of a line, or the one step that it names; see `EditSession.apply` for amend.

    Raises PipelineError, one line that says what is wrong; then nothing has changed.
    """
    if step := STEPS.get(line.strip()):
        step(session)
        return
    try:
        edits = parse_edits(line)
    except ValueError as error:
        raise MisuseError(str(error)) from None
    session.apply(edits, amend=amend)


def script_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a script with their numbers from 1, but for empty ones and comments, which begin with `#`."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MisuseError(f"{path}: cannot be read as text ({error})") from None
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def summary(session: EditSession) -> str:
    """What differs from the portrait, as the line that would lead here from it."""
    changed = [f"{name} {part} {value:.5g}" for (name, part), value in _differences(session).items()]
    if not changed:
        return "as in the portrait"
    more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    return " ".join(changed[:_SHOWN]) + more


def show(session: EditSession) -> str:
    """The values of all parameters, a line each: of many coefficients the leading ones, and those that differ."""
    changed = _differences(session)
    words: dict[str, list[str]] = {name: [f"{name:<11}"] for name in PARAMETERS}
    for key, value in values(session.codes).items():
        name, part = key
        if key in changed or len(words[name]) <= _SHOWN:
            words[name].append(f"{part} {round(value, 2) + 0.0:.2f}{'*' if key in changed else ''}")
    return "\n".join("  ".join(line) for line in words.values())


def values(codes: Codes) -> dict[tuple[str, str], float]:
    """By name and part, what each triple would set; the codes are one row."""
    return {
        (name, part): value
        for name, parameter in PARAMETERS.items()
        for part, value in zip(parameter.parts, parameter_values(codes, name)[0].tolist(), strict=True)
    }


def _differences(session: EditSession) -> dict[tuple[str, str], float]:
    before = values(session.draw.source.codes)
    return {key: value for key, value in values(session.codes).items() if abs(value - before[key]) > _NOTICEABLE}

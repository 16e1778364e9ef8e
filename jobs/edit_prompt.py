"""The prompt of `edit`: lines from a terminal, with history and completion, or from a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory

from fit_deca.editing import PARAMETERS
from jobs.edit_language import FILES, WORDS, values
from pipeline.assets import assets_folder
from pipeline.edit_session import EditSession

PROMPT = "edit> "
_HISTORY = "edit_history"


def read_lines(session: EditSession) -> Iterator[str]:
    """What is typed, until the input ends; Ctrl-C drops the line begun, Ctrl-D ends."""
    return _typed(session) if sys.stdin.isatty() else (line.rstrip("\r\n") for line in sys.stdin)


def _typed(session: EditSession) -> Iterator[str]:
    folder = assets_folder()
    folder.mkdir(parents=True, exist_ok=True)
    history = FileHistory(str(folder / _HISTORY))
    completer = EditCompleter(session)
    terminal: PromptSession[str] = PromptSession(history=history, completer=completer, complete_while_typing=False)
    click.echo("Type edits, help or quit; Tab completes.")
    while True:
        try:
            yield terminal.prompt(PROMPT)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


class EditCompleter(Completer):
    """The next word of a line: a name, a part of it, the value that it has now; a file after `save` and `load`."""

    def __init__(self, session: EditSession) -> None:
        self.session = session
        self._files = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        first, blank, rest = text.lstrip().partition(" ")
        if blank and first in FILES:
            yield from self._files.get_completions(Document(rest, len(rest)), complete_event)
            return
        *before, begun = text.split(" ")
        for word in self._next_words([word for word in before if word]):
            if word.startswith(begun):
                yield Completion(word, -len(begun))

    def _next_words(self, before: list[str]) -> Iterable[str]:
        triple = before[len(before) // 3 * 3 :]
        match triple:
            case []:
                return PARAMETERS if before else (*PARAMETERS, *WORDS)
            case [name] if name in PARAMETERS:
                return PARAMETERS[name].parts
            case [name, part]:
                value = values(self.session.codes).get((name, part))
                return [] if value is None else [f"{value:.4g}"]
            case _:
                return []

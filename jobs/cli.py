"""gdpw-pipe: the group of commands. Faults are one line on stderr; exit code 2 means misuse, 1 failure."""

from __future__ import annotations

import sys
import traceback
from typing import NoReturn

import click

from fit_deca.errors import FaceModelError
from gdpw.errors import CheckpointError
from jobs.commands.assets import assets
from jobs.commands.demo import demo
from jobs.commands.doctor import doctor
from jobs.commands.edit import edit
from jobs.commands.evaluate import evaluate
from jobs.commands.export import export
from jobs.commands.fit import fit
from jobs.commands.inspect import inspect
from jobs.commands.preprocess import preprocess
from jobs.commands.reenact import reenact
from jobs.commands.render import render
from jobs.commands.split import split
from jobs.commands.status import status
from jobs.commands.train import train
from jobs.options import Debug, debug_option
from jobs.outputs import MisuseError
from pipeline.errors import PipelineError
from pipeline.secrets import without_secrets

MISUSE, FAILURE, INTERRUPTED = 2, 1, 130


@click.group(invoke_without_command=True)
@click.version_option(package_name="gdpw-pipe", prog_name="gdpw-pipe")
@debug_option
@click.pass_context
def cli(context: click.Context) -> None:
    """Talking-head video to FLAME-annotated shards, and portraits that move as the faces in videos do."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in (
    fit,
    preprocess,
    status,
    inspect,
    split,
    reenact,
    render,
    edit,
    train,
    evaluate,
    export,
    demo,
    doctor,
    assets,
):
    cli.add_command(command)


def main() -> NoReturn:
    """The console script."""
    debug = Debug()
    try:
        sys.exit(cli.main(prog_name="gdpw-pipe", standalone_mode=False, obj=debug))
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "gdpw-pipe"
        _fail(f"{error.format_message()} See '{command} --help'.", MISUSE)
    except MisuseError as error:
        _fail(str(error), MISUSE)
    except (PipelineError, FaceModelError, CheckpointError, OSError) as error:
        if debug.wanted:
            traceback.print_exc()
        _fail(str(error), FAILURE)
    except click.Abort:
        _fail("interrupted", INTERRUPTED)
    except Exception as error:
        if debug.wanted:
            raise
        _fail(f"unexpected {type(error).__name__}: {error}; --debug shows where", FAILURE)


def _fail(message: str, code: int) -> NoReturn:
    print(f"gdpw-pipe: error: {without_secrets(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()

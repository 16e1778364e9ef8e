"""What this machine can do."""

from __future__ import annotations

import click

from jobs.options import debug_option


@click.command()
@debug_option
def doctor() -> None:
    """Say what is found and usable on this machine, and what to do."""
    from jobs.doctor import examine, report, usable

    checks = examine()
    click.echo(report(checks))
    if not usable(checks):
        raise click.exceptions.Exit(1)

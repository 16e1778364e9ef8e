"""Files of others: what is here, and how more come here."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from tqdm import tqdm

from jobs.outputs import MisuseError
from jobs.table import aligned
from pipeline import assets
from pipeline.catalogue import CATALOGUE, Asset
from pipeline.download import Progress
from pipeline.errors import PipelineError
from pipeline.fetch import Login, fetch

USER_VARIABLE, PASSWORD_VARIABLE = "GDPW_FLAME_USER", "GDPW_FLAME_PASSWORD"

Say = Callable[[str], object]


def status(names: Sequence[str]) -> str:
    """A table of the named assets, or of all; with names also how to get each one."""
    findings = assets.survey(names or CATALOGUE)
    heading = ("asset", "what", "licence", "checksum", "found")
    table = aligned([heading, *map(_row, findings)])
    looked = ", ".join(map(str, assets.search_folders()))
    advice = [f"{finding.asset.name}: {assets.advice(finding.asset)}" for finding in findings if names]
    how = advice or ["Get what is missing with 'gdpw-pipe assets fetch ASSET' or 'gdpw-pipe assets add FILE'."]
    return "\n".join([table, "", f"Looked for in {looked}; GDPW_ASSET_... names a file elsewhere.", *how])


def verify(names: Sequence[str], say: Say) -> None:
    """Load every named file, or every one that is found. Raises PipelineError if one cannot be used."""
    for name in names:
        assets.require(name)
    findings = [found for found in assets.survey(names or CATALOGUE, load=True) if found.path or found.fault]
    say(aligned([(found.asset.name, found.fault or f"ok, {_checksum(found)}", str(found.path)) for found in findings]))
    if faulty := [found.asset.name for found in findings if found.fault]:
        raise PipelineError(f"{len(faulty)} of {len(findings)} cannot be used: {', '.join(faulty)}")


def add(paths: Sequence[Path], name: str | None, say: Say) -> None:
    """Copy files, and what is found in folders, to where assets are kept. Raises PipelineError if one is refused."""
    added: dict[str, Path] = {}
    refused = 0
    for path in paths:
        for file in [path] if path.is_file() else sorted(filter(Path.is_file, path.rglob("*"))):
            try:
                asset = CATALOGUE[name] if name else assets.identify(file)
                if asset is None and file == path:
                    raise PipelineError(f"{file}: none of the assets, by its name and by its content")
                if asset is None or asset.name in added:
                    continue
                added[asset.name] = assets.add(file, asset)
                say(f"{asset.name}: {file} -> {added[asset.name]}")
            except PipelineError as error:
                refused += 1
                say(f"refused: {error}")
    if refused or not added:
        raise PipelineError(f"{len(added)} files added, {refused} refused")


def fetch_all(names: Sequence[str], url: str | None, sha256: str | None, say: Say) -> None:
    """Download assets that are not here. Raises PipelineError for the first one that cannot be had."""
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise MisuseError(f"--sha256 {sha256}: expected 64 hexadecimal digits, or at least the first 8")
    if len(names) > 1 and (url or sha256):
        raise MisuseError("--url and --sha256 are for one asset at a time")
    for name in names:
        if found := assets.find(name):
            say(f"{name}: is here already, {found}")
            continue
        asset = CATALOGUE[name]
        login = _login(asset) if asset.origin and asset.origin.login else None
        with _progress_bar(name) as progress:
            path = fetch(asset, progress, login=login, url=url, sha256=sha256)
        say(f"{name}: {path}")


def _row(found: assets.Finding) -> tuple[str, ...]:
    place = found.fault or str(found.path or "not found")
    return found.asset.name, found.asset.what, found.asset.licence, _checksum(found), place


def _checksum(found: assets.Finding) -> str:
    if found.published:
        return "as published"
    return f"{found.sha256[:12]}..." if found.sha256 else ""


def _login(asset: Asset) -> Login:
    """From the environment, else asked for; kept nowhere."""
    user, password = os.environ.get(USER_VARIABLE), os.environ.get(PASSWORD_VARIABLE)
    if user and password:
        return Login(user, password)
    if not sys.stdin.isatty():
        raise PipelineError(f"{asset.name}: needs your login; set {USER_VARIABLE} and {PASSWORD_VARIABLE}")
    click.echo(f"{asset.what}: {asset.licence}; {asset.get}. Your login there, which is not kept:", err=True)
    user = user or click.prompt("User name", err=True)
    return Login(user, password or click.prompt("Password", hide_input=True, err=True))


@contextmanager
def _progress_bar(name: str) -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    with tqdm(desc=name, unit="B", unit_scale=True, disable=None) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield progress

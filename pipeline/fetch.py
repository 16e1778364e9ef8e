"""Assets from where they are published into our folder."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.archive import extract
from pipeline.assets import assets_folder, install
from pipeline.catalogue import Asset
from pipeline.download import Progress, download
from pipeline.errors import PipelineError
from pipeline.google_drive import file_url_in_folder


@dataclass(frozen=True)
class Login:
    """The user's own account at a publisher; lives as long as the call, and is written nowhere."""

    user: str
    password: str = field(repr=False)


def fetch(
    asset: Asset, progress: Progress, *, login: Login | None = None, url: str | None = None, sha256: str | None = None
) -> Path:
    """Download an asset into our folder; an interrupted download goes on where it ended.

    login: for publishers who ask for one (`asset.origin.login`). url: another address of the same form, a mirror.
    sha256: what the file must have there, instead of the published checksum.
    Raises PipelineError, one line; a file that is not the asset is not kept.
    """
    origin = asset.origin
    if origin is None:
        raise PipelineError(f"{asset.name}: is not to be fetched; {asset.get}")
    if origin.login and login is None:
        raise PipelineError(f"{asset.name}: its publisher asks for a login; {asset.get}")
    if url is None:
        url = file_url_in_folder(origin.url, origin.path) if origin.form == "drive folder" else origin.url
    part = _part(asset, url)
    form = {"username": login.user, "password": login.password} if origin.login and login else None
    download(url, part, progress, form)
    expected = asset.sha256 if sha256 is None else sha256
    try:
        if origin.form == "zip":
            return install(asset, lambda partial: extract(part, asset.file, partial), expected)
        return install(asset, lambda partial: os.replace(part, partial), expected)
    finally:
        part.unlink(missing_ok=True)


def _part(asset: Asset, url: str) -> Path:
    """Where the bytes from this address gather: a part of one address is none of another."""
    folder = assets_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(f"{folder}: cannot be written ({error.strerror or error})") from error
    return folder / f"{asset.file}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"

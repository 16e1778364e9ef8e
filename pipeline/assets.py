"""Where files of others are found, what is known of those that are, and how new ones are kept."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipeline.archive import extract, file_names
from pipeline.atomic import atomic_path
from pipeline.catalogue import CATALOGUE, Asset
from pipeline.checksums import digest_of, note_digest, noted_digest
from pipeline.errors import PipelineError
from pipeline.node_cache import local_copy, user_cache
from pipeline.storage import locate

FOLDER_VARIABLE = "GDPW_ASSETS"
"""Environment variable: the folder of assets, instead of the one in the user's cache."""

ORIGINAL_FOLDERS = ("", "FLAME", "data", "Fit-DECA/data", "checkpoints")
"""Where GDPW's and DECA's own code has the files, in the folder it runs in."""


class Finding(NamedTuple):
    """What is known of an asset here. path: None where it is not found. fault: why it cannot be used, one line."""

    asset: Asset
    path: Path | None
    sha256: str = ""
    fault: str = ""

    @property
    def published(self) -> bool:
        """Whether the file has the published checksum."""
        return bool(self.path and self.asset.sha256 and self.sha256.startswith(self.asset.sha256))


def find(name: str, given: Path | None = None, folder: Path = Path()) -> Path | None:
    """The file of an asset, or None.

    Looked for in this order: `given`; the file that the asset's environment variable names; the package, for files that
    come along; `search_folders`. Raises PipelineError if `given` or the variable names no file.
    """
    asset = CATALOGUE[name]
    if given is not None:
        return _existing(given, "")
    if named := os.environ.get(variable(asset)):
        return _existing(locate(named), f"{variable(asset)}: ")
    places = [asset.packaged] if asset.packaged else [place / asset.file for place in search_folders(folder)]
    return next((place for place in places if place.is_file()), None)


def require(name: str, given: Path | None = None, folder: Path = Path()) -> Path:
    """The file of an asset. Raises PipelineError, one line: what is missing, where it was looked for, how to get it."""
    found = find(name, given, folder)
    if found is None:
        asset = CATALOGUE[name]
        places = [asset.packaged.parent] if asset.packaged else search_folders(folder)
        looked = ", ".join(map(str, places))
        raise PipelineError(f"{asset.file} ({asset.what}) not found in {looked}; {advice(asset)}")
    return found


def advice(asset: Asset) -> str:
    """How to get it, one line."""
    if asset.origin is None:
        return asset.get
    return f"'gdpw-pipe assets fetch {asset.name}', or {asset.get}, and 'gdpw-pipe assets add FILE'"


def variable(asset: Asset) -> str:
    """The environment variable that names the asset's file."""
    return f"GDPW_ASSET_{asset.name.upper()}"


def assets_folder() -> Path:
    """Our folder, where files that are added or fetched are kept; it may not exist yet."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return locate(chosen)
    return user_cache() / "gdpw-pipe"


def search_folders(folder: Path = Path()) -> list[Path]:
    """Our folder, the originals' ones in `folder`, and that of torch hub."""
    hub = Path(os.environ.get("TORCH_HOME", user_cache() / "torch")) / "hub" / "checkpoints"
    return [assets_folder(), *(folder / place for place in ORIGINAL_FOLDERS), hub]


def survey(names: Iterable[str] = CATALOGUE, folder: Path = Path(), *, load: bool = False) -> list[Finding]:
    """What is known of each asset. load: whether to try the files with their loaders, seconds for the large ones."""
    return [_examine(CATALOGUE[name], folder, load) for name in names]


def install(asset: Asset, put: Callable[[Path], object], sha256: str = "") -> Path:
    """Keep a file in our folder, whole or not at all, and note its SHA-256.

    put: brings the file to the path it is given. sha256: what it must have, all digits or the leading ones.
    Raises PipelineError if it is not the asset.
    """
    target = assets_folder() / asset.file
    with atomic_path(target) as partial:
        put(partial)
        digest = digest_of(partial)
        if not digest.startswith(sha256.lower()):
            raise PipelineError(f"{asset.file}: has the SHA-256 {digest}, expected {sha256}; it is not kept")
        if fault := _load_fault(asset, partial, digest):
            raise PipelineError(fault.replace(str(partial), asset.file))
    note_digest(target, digest)
    return target


def add(file: Path, asset: Asset) -> Path:
    """Copy a file, or the asset out of a zip archive, into our folder. Raises PipelineError if it is not the asset."""
    try:
        if _is_archive(file):
            return install(asset, lambda partial: extract(file, asset.file, partial))
        return install(asset, lambda partial: shutil.copyfile(file, partial))
    except PipelineError as error:
        raise PipelineError(f"{file}: not added as {asset.name}: {error}") from error


def identify(file: Path) -> Asset | None:
    """Which asset a file is or, if it is a zip archive, has in it; None if none. Its name tells, or else its content.

    Raises PipelineError if it may be several.
    """
    candidates = [asset for asset in CATALOGUE.values() if not asset.packaged]
    names = file_names(file) if _is_archive(file) else {file.name}
    if named := next((asset for asset in candidates if asset.file in names), None):
        return named
    alike = [asset for asset in candidates if file.suffix == Path(asset.file).suffix]
    digest = digest_of(file) if alike else ""
    if published := next((asset for asset in alike if asset.sha256 and digest.startswith(asset.sha256)), None):
        return published
    fitting = [asset for asset in alike if not _load_fault(asset, file, digest)]
    if len(fitting) > 1:
        several = " or ".join(asset.name for asset in fitting)
        raise PipelineError(f"{file}: may be {several}; say which with --as")
    return fitting[0] if fitting else None


@cache
def face_landmarker_file() -> Path:
    """MediaPipe's face landmarker task file; its content is checked once a process.

    Raises PipelineError if it is missing or not the published file.
    """
    path = require("face_landmarker")
    if fault := _load_fault(CATALOGUE["face_landmarker"], path, digest_of(path)):
        raise PipelineError(fault)
    return path


def _examine(asset: Asset, folder: Path, load: bool) -> Finding:
    try:
        path = find(asset.name, folder=folder)
        if path is None:
            return Finding(asset, None)
        digest = digest_of(path)
    except PipelineError as error:
        return Finding(asset, None, fault=str(error))
    fault = (
        ""
        if noted_digest(path) in (None, digest)
        else f"{path}: changed since it was added; delete it, and {advice(asset)}"
    )
    return Finding(asset, path, digest, fault or (_load_fault(asset, local_copy(path), digest) if load else ""))


def _load_fault(asset: Asset, path: Path, digest: str) -> str:
    """Why the file at `path` cannot be used as the asset, one line; empty if it can."""
    if asset.exact and not digest.startswith(asset.sha256):
        return f"{path}: not the published file (SHA-256 {digest[:12]}, not {asset.sha256[:12]}); {advice(asset)}"
    try:
        if asset.load:
            asset.load(path)
    except ValueError as error:
        return str(error)
    return ""


def _existing(path: Path, origin: str) -> Path:
    if not path.is_file():
        raise PipelineError(f"{origin}{path}: no such file")
    return path


def _is_archive(file: Path) -> bool:
    return file.suffix == ".zip"  # files of weights are zip archives too, by other names

"""Where data lies: a folder of this machine, or an object store, named by a URL.

`locate` turns what a user wrote into a path: `pathlib.Path` for a name or a `file://` URL, and for `s3://BUCKET/KEY`
and `gs://BUCKET/KEY` a `UPath` of universal_pathlib, which has the same methods. What is used of them on data is what
both have: parts of the name, `/`, `exists`, `is_file`, `is_dir`, `iterdir`, `stat`, `open`, `read_text`, `read_bytes`,
`unlink`, `touch`. All else that touches a disk goes through this module, and files are written by `pipeline.atomic`.

Both kinds pickle, hold no credentials, and are opened again in whatever process they come to, with its environment.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import posixpath
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from pipeline.errors import PipelineError
from pipeline.nameless import Nameless

log = logging.getLogger(__name__)

LIBRARIES = {"s3": "s3fs", "gs": "gcsfs", "memory": "fsspec"}
"""Scheme of a URL -> what reads it. memory is for tests: it ends with its process."""
UPLOADS = 3
"""How often a file is sent that does not arrive as it is."""
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_URL_PARTS = re.compile(r"([^:]+://)([^/]+)(.*)", re.DOTALL)
_SIGNED = re.compile(r"\?[\w.-]+=")
_MANY = 1_000
"""Objects that one request deletes, and that are asked for at once."""
_PART_BYTES = 16 << 20


def is_url(text: str | Path) -> bool:
    return _URL.match(str(text)) is not None


def is_remote(path: Path) -> bool:
    """Whether it lies on an object store."""
    return not isinstance(path, Path)


def locate(text: str | Path) -> Path:
    """The path that a name or URL means; paths stay as they are.

    Raises PipelineError for a URL of a scheme that is none of ours, or whose library is not installed, and for one with
    credentials in it, which it does not repeat.
    """
    if not isinstance(text, str):
        return text
    scheme = _URL.match(text)
    if scheme is None:
        return Path(text)
    parts = urlsplit(text, allow_fragments=False)
    if "@" in parts.netloc or _SIGNED.search(text):
        raise PipelineError(
            f"{parts.scheme}://...: credentials, signatures and versions do not belong in a URL; set them in the "
            "environment, such as AWS_ACCESS_KEY_ID or AWS_PROFILE"
        )
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme not in LIBRARIES:
        raise PipelineError(f"{text}: no store that can be read; there are {', '.join(f'{s}://' for s in LIBRARIES)}")
    if not parts.netloc:
        raise PipelineError(f"{text}: names no bucket; write {parts.scheme}://BUCKET/FOLDER")
    return _remote(text, parts.scheme)


def _remote(url: str, scheme: str) -> Path:
    try:
        if scheme == "s3":
            from pipeline.s3 import S3Place

            return cast(Path, S3Place(url))
        from upath import UPath

        path = UPath(url, use_listings_cache=False)
        _ = path.fs
    except ImportError as error:
        library = LIBRARIES[scheme]
        raise PipelineError(f"{url}: reading {scheme}:// needs {library}; pip install 'gdpw-pipe[cloud]'") from error
    return cast(Path, path)


def check(path: Path) -> None:
    """Raise PipelineError, one line, where there is nothing that can be read: no such file, bucket or credentials."""
    try:
        path.stat()
    except FileNotFoundError as error:
        lacks_bucket = "bucket does not exist" in str(error)
        raise PipelineError(f"{path}: no such {'bucket' if lacks_bucket else 'file or folder'}") from error
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read ({error.strerror or error})") from error


def join(folder: Path, text: str) -> str:
    """What a list names, as seen from the list's folder; a URL, or a path from the root on, stays what it is."""
    if is_url(text) or os.path.isabs(text):
        return text
    if not is_remote(folder):
        return str(folder / text)
    store, bucket, key = _URL_PARTS.fullmatch(str(folder)).groups()  # type: ignore[union-attr]
    return f"{store}{bucket}{posixpath.normpath(f'{key}/{text}')}"


def whole_name(path: str | Path) -> str:
    """The path from the root on, with slashes, without `..`; a URL is whole as it is."""
    return str(path) if is_url(path) else os.path.abspath(path).replace(os.sep, "/")


def read_range(path: Path, start: int, stop: int) -> bytes:
    """Bytes start to stop - 1 of a file, in one request. Raises OSError where it cannot be read, ValueError where it
    ends before."""
    if is_remote(path):
        data: bytes = _store(path).cat_file(_key(path), start=start, end=stop)
    else:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            data = file.read(stop - start)
    if len(data) < stop - start:
        raise ValueError(f"the file ends {stop - start - len(data)} bytes too early")
    return data


def read_many(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """Files of one place with what is in them, in no order; those of a store are read many at a time."""
    for some in _batches(paths):
        if is_remote(some[0]):
            by_key = {_key(path): path for path in some}
            contents = _store(some[0]).cat(list(by_key))
            yield from ((by_key[key], data) for key, data in contents.items())
        else:
            yield from ((path, path.read_bytes()) for path in some)


class Folder(NamedTuple):
    """A folder of a tree: its path, and the names of what lies right in it."""

    path: str
    folders: list[str]
    files: list[str]


def walk(root: str | Path) -> Iterator[Folder]:
    """Every folder of a tree, `root` first, each before those in it; taken out of `folders`, one is left out.

    Of a store all keys are listed at once, a thousand a request. Links to folders are not followed.
    """
    if not is_url(root):
        yield from (Folder(*found) for found in os.walk(root))
        return
    found: dict[str, Folder] = {}
    for path in tree(locate(root)):
        _folder_of(found, str(path.parent), str(root)).files.append(path.name)
    waiting = [str(root)] if found else []
    while waiting:
        folder = found[waiting.pop()]
        folder.folders.sort()
        yield folder
        waiting += [f"{folder.path.rstrip('/')}/{name}" for name in reversed(folder.folders)]


def _folder_of(found: dict[str, Folder], path: str, root: str) -> Folder:
    if path not in found:
        found[path] = Folder(path, [], [])
        if path.rstrip("/") != root.rstrip("/"):
            above, _, name = path.rpartition("/")
            _folder_of(found, above, root).folders.append(name)
    return found[path]


def tree(folder: Path) -> Iterator[Path]:
    """Every file below a folder, in no order; none where there is no folder. Of a store by one listing."""
    if not is_remote(folder):
        yield from (path for path in folder.rglob("*") if path.is_file())
        return
    root = _key(folder).rstrip("/")
    for key in _store(folder).find(root):
        below = key.removeprefix(root).strip("/")
        if below and not key.endswith("/"):  # some tools leave an empty object for a folder
            yield folder / below


def remove(paths: Iterable[Path]) -> None:
    """Remove files, of which some may be gone already."""
    for some in _batches(paths):
        if is_remote(some[0]):
            _store(some[0]).rm([_key(path) for path in some])
        else:
            for path in some:
                path.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it, if it is there."""
    if is_remote(folder):
        remove(tree(folder))
    elif folder.is_dir():
        shutil.rmtree(folder)


def copy_into(path: Path, file: IO[bytes]) -> None:
    """Append all of a file to an open one."""
    with path.open("rb") as content:
        shutil.copyfileobj(content, file, 1 << 20)


def openable(path: Path) -> str:
    """A name by which a library can open the file: its own, or that of a copy of what lies on a store.

    The copy has no name that could be left behind. A process holds the one that it asked for last, until it asks for
    another or ends. Raises OSError where the file cannot be read.
    """
    if not is_remote(path):
        return str(path.absolute())
    return _copy(path, _store(path).ukey(_key(path))).name


@lru_cache(maxsize=1)
def _copy(path: Path, version: str) -> Nameless:
    """version: what the store calls the file's present content."""
    copy = Nameless()
    copy_into(path, copy.file)
    copy.file.flush()
    return copy


@contextmanager
def copied(path: Path) -> Iterator[Path]:
    """A file of this machine with what lies at `path`, of the same name: itself, or a copy for the length of the block.

    Faults that name the copy name the original instead. Raises OSError where it cannot be read.
    """
    if not is_remote(path):
        yield path
        return
    with TemporaryDirectory(prefix="copy-") as folder:
        copy = Path(folder) / path.name
        with copy.open("wb") as file:
            copy_into(path, file)
        try:
            yield copy
        except Exception as error:
            error.args = tuple(
                part.replace(str(copy), str(path)) if isinstance(part, str) else part for part in error.args
            )
            raise


def append(path: Path, text: str) -> None:
    """Add to a file, or begin it; on a store the whole of it is written anew, on S3 by the server where it is large."""
    if is_remote(path) and _scheme(path) != "s3":
        text = (path.read_text() if path.exists() else "") + text
        path.write_text(text)
        return
    with path.open("a") as file:
        file.write(text)


class Mirror:
    """A folder that a library writes by itself. local: where, on this machine; on a store, what is there is sent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scratch = TemporaryDirectory(prefix="mirror-") if is_remote(folder) else None
        self.local = Path(self._scratch.name) if self._scratch else folder

    def send(self) -> None:
        """Send all files. Raises OSError where one cannot be sent."""
        for file in tree(self.local) if self._scratch else ():
            upload(file, self._folder / file.relative_to(self.local).as_posix())

    def close(self) -> None:
        """Send all files, and remove them here."""
        self.send()
        if self._scratch:
            self._scratch.cleanup()


def for_arrow(path: Path) -> tuple[str, Any]:
    """A folder as pyarrow knows it: its name, and the file system that has it; None is this machine's."""
    if not is_remote(path):
        return str(path), None
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    return _key(path), PyFileSystem(FSSpecHandler(_store(path)))


def upload(file: Path, path: Path) -> None:
    """Send a local file to a store, where it appears under its name whole or not at all, and see that it is the same.

    A store says how many bytes it has and mostly, as the ETag of S3 or the md5Hash of Google, their MD5; where it does
    not (such as S3 with keys of KMS), the file is read back. One that differs is sent again, up to `UPLOADS` times.
    Raises OSError where it cannot be sent, or still differs.
    """
    for _ in range(UPLOADS):
        _send(_store(path), str(file), _key(path), **_options(path))
        if not (problem := _difference(file, path)):
            return
        log.warning("sent again: %s: %s", path, problem)
    raise OSError(f"{problem}, {UPLOADS} times")


def _difference(file: Path, path: Path) -> str:
    """What is wrong with an upload; empty if nothing is."""
    about = _store(path).info(_key(path))
    size = file.stat().st_size
    if about["size"] != size:
        return f"{about['size']} of {size} bytes arrived"
    stated = {str(about.get(name) or "").strip('"') for name in ("ETag", "md5Hash")}
    if stated & {*_md5_names(file)}:
        return ""
    with path.open("rb") as there, file.open("rb") as here:
        same = hashlib.file_digest(there, "sha256").digest() == hashlib.file_digest(here, "sha256").digest()
    return "" if same else "other bytes arrived"


def _md5_names(file: Path) -> list[str]:
    """What stores call the MD5 of a file: hexadecimal, base64, and S3's of one that is sent in parts."""
    whole, parts = hashlib.md5(usedforsecurity=False), []
    with file.open("rb") as content:
        while part := content.read(_PART_BYTES):
            whole.update(part)
            parts.append(hashlib.md5(part, usedforsecurity=False).digest())
    joined = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return [whole.hexdigest(), base64.b64encode(whole.digest()).decode(), f"{joined}-{len(parts)}"]


def _batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    paths = iter(paths)
    while some := list(islice(paths, _MANY)):
        yield some


def _send(store: Any, file: str, key: str, **options: Any) -> None:
    store.put_file(file, key, **options)


def _options(path: Path) -> dict[str, Any]:
    return {"chunksize": _PART_BYTES} if _scheme(path) == "s3" else {}


def _scheme(path: Path) -> str:
    return urlsplit(str(path)).scheme


def _store(path: Path) -> Any:
    return cast(Any, path).fs


def _key(path: Path) -> str:
    return str(cast(Any, path).path)

"""Files over HTTP: what arrived is kept when the connection ends, and the next call goes on from there."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from pipeline.errors import PipelineError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and with those of the whole file where the server says."""

_SECONDS = 60
_BLOCK = 1 << 20
_LARGEST_PAGE = 8 << 20
_BROKEN = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
_PARTIAL, _NOTHING_LEFT = 206, 416
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_LOGIN_REFUSED = "refused the login: check user name and password, and that your account may have this file"
_PAGE = (
    "answered with a web page instead of the file (moved, or downloaded too often today); try later, or in a browser"
)


class _Incomplete(Exception):
    """The answer ended before its announced length."""


def download(url: str, part: Path, progress: Progress, form: Mapping[str, str] | None = None) -> None:
    """Bring the file at `url` to `part`, whose content is taken for its beginning.

    form: fields to post, for publishers who ask for a login; they go over https only, and into no message.
    A broken connection is taken up again as long as each one brings something.
    Raises PipelineError, one line; `part` stays for the next call, unless the server has no such content.
    """
    _check_address(url, form)
    while True:
        before = _size(part)
        try:
            _receive(url, part, progress, form)
            return
        except (_Incomplete, *_BROKEN) as error:
            if _size(part) <= before:
                reason = getattr(error, "reason", None) or error or type(error).__name__
                kept = f"; {_size(part):,} bytes are kept, fetch it again to go on" if _size(part) else ""
                raise PipelineError(f"{_host(url)}: connection failed ({reason}){kept}") from error
        except OSError as error:
            raise PipelineError(f"{part}: cannot be written ({error.strerror or error})") from error


def read_page(url: str) -> str:
    """A small HTML page. Raises PipelineError, one line."""
    _check_address(url, None)
    try:
        with _open(Request(url, headers=_headers()), login=False) as response:
            return response.read(_LARGEST_PAGE).decode("utf-8", errors="replace")
    except _BROKEN as error:
        raise PipelineError(f"{_host(url)}: connection failed ({getattr(error, 'reason', error)})") from error


def _receive(url: str, part: Path, progress: Progress, form: Mapping[str, str] | None) -> None:
    """One connection. Raises _Incomplete or one of _BROKEN where it ends early."""
    have = _size(part)
    request = Request(url, urlencode(form).encode() if form else None, _headers(have))
    with _open(request, login=form is not None) as response:
        if response.status == _NOTHING_LEFT:
            _check_whole(url, part, response.headers.get("Content-Range", ""))
            return
        resumed = response.status == _PARTIAL
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise PipelineError(
                f"{_host(url)}: sent another part of the file than asked; delete {part}, fetch it again"
            )
        done = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        block = response.read1(_BLOCK)
        if not resumed and _is_page(response, block):
            raise PipelineError(f"{_host(url)} {_LOGIN_REFUSED if form else _PAGE}")
        with part.open("ab" if resumed else "wb") as file:
            while block:
                file.write(block)
                done += len(block)
                progress(done, total)
                block = response.read1(_BLOCK)
        if total is not None and done < total:
            raise _Incomplete(f"{done:,} of {total:,} bytes")


def _check_whole(url: str, part: Path, content_range: str) -> None:
    """The server has nothing past the bytes that are here: all of its file, or more than that."""
    if content_range.rpartition("/")[2] != str(_size(part)):
        part.unlink()
        raise PipelineError(f"{_host(url)}: has another file than the one begun, which is deleted; fetch it again")


def _open(request: Request, login: bool) -> HTTPResponse | HTTPError:
    """The answer; it may be `_NOTHING_LEFT` where a range is asked for, and is good otherwise."""
    try:
        return urlopen(request, timeout=_SECONDS)
    except HTTPError as error:
        if error.code == _NOTHING_LEFT and request.has_header("Range"):
            return error
        host = _host(request.full_url)
        if login and error.code in (401, 403):
            raise PipelineError(f"{host} {_LOGIN_REFUSED}") from None
        raise PipelineError(f"{host}: HTTP {error.code} {error.reason}") from None


def _headers(have: int = 0) -> dict[str, str]:
    return {"User-Agent": "gdpw-pipe"} | ({"Range": f"bytes={have}-"} if have else {})


def _is_page(response: HTTPResponse | HTTPError, start: bytes) -> bool:
    """A refusal for people to read, though the status says that all is well."""
    return response.headers.get_content_maintype() == "text" or start.lstrip()[:9].lower().startswith(
        (b"<!doctype", b"<html")
    )


def _check_address(url: str, form: Mapping[str, str] | None) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PipelineError(
            f"not an address to fetch from: it begins with neither https:// nor http:// ({parts.scheme})"
        )
    if parts.username is not None:
        raise PipelineError(f"{parts.hostname}: an address must not hold a user name or password")
    if form and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise PipelineError(f"{parts.hostname}: a login goes over https:// only")


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0

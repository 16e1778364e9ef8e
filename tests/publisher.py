"""A publisher of files on the loopback interface, who breaks connections and asks for logins as real ones do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs

LOGIN_PAGE = b"\n<!DOCTYPE html><html><body>Error: user name or password</body></html>"


class Asked(NamedTuple):
    """A request as it came in. form: posted fields."""

    method: str
    path: str
    range: str | None
    form: dict[str, str]


@dataclass
class Publisher:
    """What lies at which path, and how it is given away.

    cuts: after how many bytes the next answers break off, in turn; after them, none does.
    stall: whether a broken answer stays open without another byte, as on a dead line.
    login: the form that is asked for; others get `refusal`, a status, with a page.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    stall: bool = False
    ranges: bool = True
    wrong_range: bool = False
    media_type: str = "application/octet-stream"
    login: dict[str, str] | None = None
    refusal: int = 200
    redirects: dict[str, str] = field(default_factory=dict)
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def open_publisher() -> Iterator[Publisher]:
    publisher = Publisher()

    class Handler(_Handler):
        def setup(self) -> None:
            self.publisher = publisher
            super().setup()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    publisher.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield publisher
    finally:
        publisher.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    publisher: Publisher

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer({name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()})

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, form: dict[str, str]) -> None:
        publisher = self.publisher
        publisher.asked.append(Asked(self.command, self.path, self.headers["Range"], form))
        if self.path in publisher.redirects:
            self._send(302, b"", Location=publisher.redirects[self.path])
        elif self.path not in publisher.files:
            self._send(404, b"nothing here")
        elif publisher.login not in (None, form):
            self._send(publisher.refusal, LOGIN_PAGE, **{"Content-Type": publisher.media_type})
        else:
            self._send_file(publisher.files[self.path])

    def _send_file(self, content: bytes) -> None:
        start, size = 0, len(content)
        status, headers = 200, {"Content-Type": self.publisher.media_type}
        if self.publisher.ranges and self.headers["Range"]:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                self._send(416, b"", **{"Content-Range": f"bytes */{size}"})
                return
            said = 0 if self.publisher.wrong_range else start
            status, headers["Content-Range"] = 206, f"bytes {said}-{size - 1}/{size}"
        self._send(status, content[start:], **headers)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        cut = self.publisher.cuts.pop(0) if status in (200, 206) and self.publisher.cuts else len(body)
        self.wfile.write(body[:cut])
        if cut < len(body) and self.publisher.stall:
            self.wfile.flush()
            self.publisher.closing.wait()
        self.close_connection = True

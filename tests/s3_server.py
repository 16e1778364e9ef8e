"""An S3 server on this machine: moto's, a process of its own, and a door in front of it that can be shut."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.request import Request, urlopen

import pytest

BUCKET = "bucket"
KEY, SECRET = "AKIDOFATEST", "a-secret-of-the-test"
_PATIENCE = 60.0


class Door:
    """A port that passes everything on to another while it is open; shut, it refuses and cuts what is under way.

    To its clients that is a server that went down; the one behind it keeps what it has, as one with a disk does.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self.port = _free_port()
        self._listener: socket.socket | None = None
        self._passing: list[socket.socket] = []
        self.open()

    def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._serve, args=[listener], daemon=True).start()

    def shut(self) -> None:
        if self._listener:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for end in self._passing:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._passing = []

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._behind))
                self._passing += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=[one, other], daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Server:
    """door: what clients come through. address: of the door."""

    def __init__(self, log: IO[bytes]) -> None:
        self._log = log
        self._port = _free_port()
        self._process = self._begun()
        self.door = Door(self._port)
        self.address = f"http://127.0.0.1:{self.door.port}"
        self._client().create_bucket(Bucket=BUCKET)

    def restart(self) -> None:
        """Kill it while clients are at work, and begin another one with the objects that lay there, as on a disk.

        What clients had under way is lost: their requests, and uploads in parts.
        """
        self.door.shut()
        client = self._client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        names = [found["Key"] for page in pages for found in page.get("Contents", ())]
        kept = {name: client.get_object(Bucket=BUCKET, Key=name) for name in names}
        kept = {name: (found["Body"].read(), found["Metadata"]) for name, found in kept.items()}
        self._process.kill()
        self._process.wait()
        self._process = self._begun()
        client.create_bucket(Bucket=BUCKET)
        for name, (data, noted) in kept.items():
            client.put_object(Bucket=BUCKET, Key=name, Body=data, Metadata=noted)
        self.door.open()

    def stop(self) -> None:
        self.door.shut()
        self._process.terminate()
        self._process.wait()

    def _begun(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
        process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        _wait_for(self._port, process)
        return process

    def _client(self) -> Any:
        """Of the server itself, past the door."""
        import boto3  # comes with moto

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._port}",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    @contextmanager
    def refusing_strangers(self) -> Iterator[None]:
        """Requests with credentials that the server does not know, as are all here, are refused."""
        self._tell("reset-auth", b"0")
        try:
            yield
        finally:
            self._tell("reset-auth", b"inf")

    def _tell(self, what: str, data: bytes) -> None:
        address = f"http://127.0.0.1:{self._port}/moto-api/{what}"
        urlopen(Request(address, data=data, headers={"Content-Type": "text/plain"}, method="POST")).close()


@contextmanager
def running_server(log: Path) -> Iterator[Server]:
    """A server with an empty bucket, and the environment by which S3's clients find it. Skips without moto."""
    pytest.importorskip("moto.server", reason="needs moto, of the extra dev, as an S3 server")
    from pipeline.s3 import S3

    with log.open("wb") as lines:
        server = Server(lines)
        try:
            with pytest.MonkeyPatch.context() as patch:
                for name in [name for name in os.environ if name.startswith("AWS_")]:
                    patch.delenv(name)
                patch.setenv("AWS_ENDPOINT_URL", server.address)
                patch.setenv("AWS_ACCESS_KEY_ID", KEY)
                patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
                patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
                S3.clear_instance_cache()  # clients of the server of another module
                yield server
        finally:
            server.stop()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    pytest.fail("the S3 server did not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])

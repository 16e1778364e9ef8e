"""Paths on S3 and whatever speaks its protocol. Imports s3fs, an extra of this package: only `storage` imports this.

Credentials, region and endpoint come from where botocore looks for them (AWS_ACCESS_KEY_ID, AWS_PROFILE,
AWS_ENDPOINT_URL, the machine's role); nothing of them is held here, so a pickled path holds none either.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError
from fsspec import AbstractFileSystem
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from upath.implementations.cloud import S3Path
from upath.registry import register_implementation

ATTEMPTS = 10
"""Of a request, by botocore, with pauses that grow to 20 s: a server may be away for about a minute."""
BLOCK_BYTES = 16 << 20
"""Of a file that is read from end to end, and of the parts of a large one that is written."""


class S3(S3FileSystem):
    """s3fs whose every error is an OSError, whose listings are always fresh, and which asks no more than it must."""

    protocol = ("s3",)

    def __init__(self, **options: Any) -> None:
        retries = {"mode": "standard", "max_attempts": ATTEMPTS}
        own = {"use_listings_cache": False, "default_block_size": BLOCK_BYTES, "config_kwargs": {"retries": retries}}
        super().__init__(**{**own, **options})

    async def _call_s3(self, method: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super()._call_s3(method, *args, **kwargs)
        except BotoCoreError as error:  # no credentials, nobody there
            raise OSError(errno.EIO, str(error)) from error

    call_s3 = sync_wrapper(_call_s3)

    async def _isdir(self, path: str) -> bool:
        """By one key below it, where s3fs lists all."""
        try:
            return bool((await self._info(path))["type"] == "directory")
        except FileNotFoundError:
            return False

    async def _cat_file(self, path: str, *args: Any, max_concurrency: int = 1, **kwargs: Any) -> bytes:
        """In one request, where s3fs asks for the size first."""
        data: bytes = await super()._cat_file(path, *args, max_concurrency=max_concurrency, **kwargs)
        return data


class S3Place(S3Path):
    """A path on S3. Two are equal where their URLs are."""

    __slots__ = ()

    @classmethod
    def _fs_factory(cls, urlpath: str, protocol: str, storage_options: Mapping[str, Any]) -> AbstractFileSystem:
        return S3(**storage_options)


register_implementation("s3", S3Place, clobber=True)  # universal_pathlib makes no path of a class that it does not know

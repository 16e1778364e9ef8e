"""Secrets that somebody wrote into a URL, kept out of what we write."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*:/{1,2})[^/\s@]+@", re.IGNORECASE)
"""`scheme://user:password@`, with one slash where it has been taken for a path."""
_SIGNATURE = re.compile(
    r"([?&][\w.-]*(?:credential|key|password|secret|signature|token)[\w.-]*=)[^&\s'\"]+", re.IGNORECASE
)


def without_secrets(text: str) -> str:
    """The text with `***` in place of logins in URLs, and of signatures, keys and tokens in their queries."""
    return _SIGNATURE.sub(r"\1***", _LOGIN.sub(r"\1***@", text))

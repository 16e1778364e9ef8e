"""Expected faults of face models."""

from __future__ import annotations


class FaceModelError(ValueError):
    """A face model or landmark file that cannot be used; its text is one line that names the file."""

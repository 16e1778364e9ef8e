"""The shared libraries that wheels expect from the operating system, and the Debian package of each.

Standard library only: `make setup` runs this file before anything is installed, `gdpw-pipe doctor` imports it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys

DEBIAN_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLESv2.so.2": "libgles2",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxcb.so.1": "libxcb1",
}
"""Library that MediaPipe or OpenCV load -> Debian package that holds it."""


def missing_packages() -> list[str]:
    """Debian packages whose library does not load here; empty where all is well, and on other systems than Linux."""
    if not sys.platform.startswith("linux"):
        return []
    missing = [package for library, package in DEBIAN_PACKAGES.items() if not _loads(library)]
    if importlib.util.find_spec("ensurepip") is None:
        missing.append(f"python3.{sys.version_info.minor}-venv")
    return missing


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(
            f"gdpw-pipe needs Python 3.11, 3.12 or 3.13, this is {sys.version.split()[0]}: make PYTHON=python3.12 ..."
        )
    if packages := missing_packages():
        sys.exit(f"missing Debian packages: apt-get install {' '.join(packages)}")

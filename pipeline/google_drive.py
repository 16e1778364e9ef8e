"""Files that are shared on Google Drive, found without an account.

Source: the embedded view of a shared folder, which is HTML, and the address behind Drive's own download button. Neither
is documented; whatever changes there, changes here.
"""

from __future__ import annotations

import html
import re

from pipeline.download import read_page
from pipeline.errors import PipelineError

_FOLDER = "https://drive.google.com/embeddedfolderview?id={}"
_FILE = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"

_ENTRY = re.compile(r'href="[^"]*/(?:folders|file/d)/([\w-]+)[^"]*".*?"flip-entry-title">([^<]*)<', re.DOTALL)


def file_url(identifier: str) -> str:
    """The address of a shared file's content. `confirm` skips the page that warns of large files."""
    return _FILE.format(identifier)


def file_url_in_folder(folder_url: str, path: str) -> str:
    """The address of the file at `path`, parts divided by slashes, within a shared folder.

    Raises PipelineError if the folder cannot be listed or has no such file.
    """
    identifier = folder_url.rstrip("/").rpartition("/")[2]
    for name in path.split("/"):
        entries = {
            html.unescape(title): entry for entry, title in _ENTRY.findall(read_page(_FOLDER.format(identifier)))
        }
        if name not in entries:
            raise PipelineError(f"{folder_url}: shows no {name} of {path}; open it in a browser and look for the file")
        identifier = entries[name]
    return file_url(identifier)

"""Fetching assets from a publisher: what is not the asset is not kept."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from publisher import Publisher, open_publisher
from toy_flame import toy_arrays, toy_landmarks, write_pickle

from pipeline import google_drive
from pipeline.catalogue import CATALOGUE
from pipeline.errors import PipelineError
from pipeline.fetch import Login, fetch

LOGIN = Login("me@here.org", "guess-0451")
DRIVE_PAGE = """<div class="flip-entries">
<div class="flip-entry" id="entry-A"><div class="flip-entry-info"><a href="https://drive.google.com/{}" target="_blank">
<div class="flip-entry-icon"></div><div class="flip-entry-title">{}</div></a></div></div>
<div class="flip-entry" id="entry-B"><div class="flip-entry-info"><a href="https://drive.google.com/{}" target="_blank">
<div class="flip-entry-icon"></div><div class="flip-entry-title">{}</div></a></div></div></div>"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our folder, which does not exist yet."""
    monkeypatch.setenv("GDPW_ASSETS", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """Has a toy's landmarks at /landmarks and, for the login, the toy in an archive at /flame."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    landmarks, packed = io.BytesIO(), io.BytesIO()
    content = {name: array for name, array in toy_landmarks().items() if not name.startswith("mediapipe")}
    np.save(landmarks, np.array(content, dtype=object), allow_pickle=True)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(write_pickle(tmp_path / "toy.pkl", toy_arrays(400)), "FLAME2020/generic_model.pkl")
    with open_publisher() as publisher:
        publisher.files = {"/landmarks": landmarks.getvalue(), "/flame": packed.getvalue()}
        yield publisher


def ignore(done: int, total: int | None) -> None:
    pass


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refused(kept: Path, name: str, url: str, sha256: str | None = None, login: Login | None = None) -> str:
    """The one line that a refused fetch ends with; it leaves nothing behind."""
    with pytest.raises(PipelineError) as error:
        fetch(CATALOGUE[name], ignore, url=url, sha256=sha256, login=login)
    assert not list(kept.iterdir())
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_with_the_right_checksum_is_kept(publisher: Publisher, kept: Path) -> None:
    content = publisher.files["/landmarks"]
    publisher.cuts = [1000, 1000]
    asset = CATALOGUE["landmark_embedding"]
    path = fetch(asset, ignore, url=f"{publisher.url}/landmarks", sha256=digest(content).upper())
    assert path == kept / "landmark_embedding.npy"
    assert path.read_bytes() == content
    assert [asked.range for asked in publisher.asked] == [None, "bytes=1000-", "bytes=2000-"]
    assert (kept / "SHA256SUMS").read_text() == f"{digest(content)}  landmark_embedding.npy\n"
    assert len(list(kept.iterdir())) == 2


def test_a_wrong_checksum_is_refused(publisher: Publisher, kept: Path) -> None:
    url, content = f"{publisher.url}/landmarks", publisher.files["/landmarks"]
    published = CATALOGUE["landmark_embedding"].sha256
    assert f"has the SHA-256 {digest(content)}, expected {published}" in refused(kept, "landmark_embedding", url)
    assert "expected 0123456789" in refused(kept, "landmark_embedding", url, "0123456789")


def test_a_file_that_does_not_load_is_refused_though_its_checksum_is_right(publisher: Publisher, kept: Path) -> None:
    publisher.files["/landmarks"] = b"nonsense"
    message = refused(kept, "landmark_embedding", f"{publisher.url}/landmarks", digest(b"nonsense"))
    assert message.startswith("landmark_embedding.npy: not a landmark file")


def test_flame_comes_out_of_its_archive_for_those_who_may_have_it(publisher: Publisher, kept: Path) -> None:
    publisher.login = {"username": LOGIN.user, "password": LOGIN.password}
    content = Path(kept.parent / "toy.pkl").read_bytes()
    path = fetch(CATALOGUE["flame"], ignore, url=f"{publisher.url}/flame", sha256=digest(content), login=LOGIN)
    assert path.read_bytes() == content
    assert sorted(file.name for file in kept.iterdir()) == ["SHA256SUMS", "generic_model.pkl"]


@pytest.mark.parametrize("refusal", [200, 401])
def test_a_wrong_password_is_told_and_never_shown(publisher: Publisher, kept: Path, refusal: int) -> None:
    publisher.login, publisher.refusal = {"username": LOGIN.user, "password": "another"}, refusal
    message = refused(kept, "flame", f"{publisher.url}/flame", login=LOGIN)
    assert "refused the login" in message
    assert LOGIN.password not in message
    assert LOGIN.password not in repr(LOGIN)


def test_no_login_is_sent_to_those_who_ask_for_none(publisher: Publisher, kept: Path) -> None:
    content = publisher.files["/landmarks"]
    url = f"{publisher.url}/landmarks"
    fetch(CATALOGUE["landmark_embedding"], ignore, url=url, sha256=digest(content), login=LOGIN)
    assert [(asked.method, asked.form) for asked in publisher.asked] == [("GET", {})]


def test_an_archive_with_another_flame_in_it_is_refused(publisher: Publisher, kept: Path) -> None:
    assert f"expected {CATALOGUE['flame'].sha256}" in refused(kept, "flame", f"{publisher.url}/flame", login=LOGIN)
    assert "has no files flame2023.pkl" in refused(kept, "flame2023", f"{publisher.url}/flame", login=LOGIN)
    assert "not a zip archive" in refused(kept, "flame", f"{publisher.url}/landmarks", login=LOGIN)


def test_a_file_in_a_shared_folder_is_found_by_its_path(
    publisher: Publisher, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_drive, "_FOLDER", f"{publisher.url}/folder/{{}}")
    monkeypatch.setattr(google_drive, "_FILE", f"{publisher.url}/file/{{}}")
    publisher.files = {
        "/folder/149O2EpAh_mOW1s7INnKaa3BrV0Zv00D6": DRIVE_PAGE.format(
            *("drive/folders/data-1", "data", "drive/folders/check_2?usp=drive", "checkpoints")
        ).encode(),
        "/folder/check_2": DRIVE_PAGE.format(
            *("file/d/geom-3/view?usp=drive_web", "PWM_geom_disp.pth", "file/d/both_4/view", "PWM_both.pth")
        ).encode(),
        "/file/both_4": b"not a checkpoint, though",
    }
    with pytest.raises(PipelineError, match=r"^PWM_both\.pth: not a file of weights"):
        fetch(CATALOGUE["gdpw_both"], ignore)
    assert [asked.path for asked in publisher.asked][1:] == ["/folder/check_2", "/file/both_4"]
    with pytest.raises(PipelineError, match=r"shows no PWM_neural_codes\.pth of checkpoints/PWM_neural_codes\.pth"):
        fetch(CATALOGUE["gdpw_neural_codes"], ignore)


def test_what_no_one_publishes_is_not_to_be_fetched(kept: Path) -> None:
    with pytest.raises(PipelineError, match="install the package again"):
        fetch(CATALOGUE["generic_head"], ignore)
    with pytest.raises(PipelineError, match="asks for a login"):
        fetch(CATALOGUE["flame"], ignore)

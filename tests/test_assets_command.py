"""gdpw-pipe assets, in processes of its own: interrupted and resumed, and nothing secret in what they leave behind."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from publisher import Publisher, open_publisher
from toy_flame import toy_arrays, toy_landmarks, write_pickle

from jobs.assets import add, status, verify
from pipeline.errors import PipelineError

USER, PASSWORD = "me@here.org", "guess-0451"

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the files of a toy FLAME, and one by FLAME's name that is something else."""
    folder = tmp_path / "files"
    (folder / "other").mkdir(parents=True)
    write_pickle(folder / "generic_model.pkl", toy_arrays(400))
    content = {name: array for name, array in toy_landmarks().items() if not name.startswith("mediapipe")}
    np.save(folder / "landmark_embedding.npy", np.array(content, dtype=object), allow_pickle=True)
    (folder / "other" / "flame2023.pkl").write_bytes(b"something else")
    (folder / "other" / "notes.txt").write_text("none of ours")
    return folder


@pytest.fixture
def publisher(files: Path) -> Iterator[Publisher]:
    """Gives the landmarks to everybody and FLAME's archive for the login."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(files / "generic_model.pkl", "FLAME2020/generic_model.pkl")
    with open_publisher() as publisher:
        publisher.files = {
            "/flame": packed.getvalue(),
            "/landmarks": (files / "landmark_embedding.npy").read_bytes(),
        }
        yield publisher


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GDPW_", "TORCH_HOME"))}
    ours = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "no_proxy": "127.0.0.1"}
    return kept | ours | {"PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our folder for calls in this process, empty, as is the working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("GDPW_ASSETS", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Start:
    """Starts the command in an empty working folder."""
    (tmp_path / "work").mkdir()

    def start(*arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", "assets", *map(str, arguments)],
            cwd=tmp_path / "work",
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
        )

    return start


def heed_interrupts() -> None:
    """A child of a background job ignores SIGINT, as its parents do, unless told otherwise."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def fetch_flame(publisher: Publisher, files: Path) -> tuple[str, ...]:
    digest = hashlib.sha256((files / "generic_model.pkl").read_bytes()).hexdigest()
    return "fetch", "flame", "--url", f"{publisher.url}/flame", "--sha256", digest


def wait_for_bytes(folder: Path) -> Path:
    """The one file in the folder, once something is in it."""
    for _ in range(600):
        for path in folder.glob("*"):
            if path.stat().st_size:
                return path
        time.sleep(0.1)
    raise TimeoutError(folder)


def everything_left(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_fetch_that_is_interrupted_goes_on_where_it_ended(
    start: Start, publisher: Publisher, files: Path, tmp_path: Path
) -> None:
    login = {"GDPW_FLAME_USER": USER, "GDPW_FLAME_PASSWORD": PASSWORD}
    publisher.login = {"username": USER, "password": PASSWORD}
    publisher.cuts, publisher.stall = [50_000], True
    first = start(*fetch_flame(publisher, files), **login)
    part = wait_for_bytes(tmp_path / "cache/gdpw-pipe")
    command_line = Path(f"/proc/{first.pid}/cmdline")
    assert not command_line.exists() or PASSWORD not in command_line.read_text()
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert (first.returncode, err.strip()) == (130, "gdpw-pipe: error: interrupted")
    arrived = part.read_bytes()
    assert arrived == publisher.files["/flame"][: len(arrived)]

    second = start(*fetch_flame(publisher, files), **login)
    logs = out + err + "".join(second.communicate(timeout=60))
    assert second.returncode == 0, logs
    assert [asked.range for asked in publisher.asked] == [None, f"bytes={len(arrived)}-"]
    model = tmp_path / "cache/gdpw-pipe/generic_model.pkl"
    assert model.read_bytes() == (files / "generic_model.pkl").read_bytes()
    assert not part.exists()
    assert PASSWORD not in logs
    assert PASSWORD.encode() not in everything_left(tmp_path)


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_a_wrong_password_is_one_line_without_it(
    start: Start, publisher: Publisher, files: Path, tmp_path: Path, debug: tuple[str, ...]
) -> None:
    publisher.login = {"username": USER, "password": "another"}
    run = start(*fetch_flame(publisher, files), *debug, GDPW_FLAME_USER=USER, GDPW_FLAME_PASSWORD=PASSWORD)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert err.splitlines()[-1].startswith("gdpw-pipe: error: 127.0.0.1")
    assert "refused the login: check user name and password" in err.splitlines()[-1]
    assert debug or err.count("\n") == 1
    assert PASSWORD not in out + err
    assert PASSWORD.encode() not in everything_left(tmp_path)


def test_a_wrong_checksum_is_refused(start: Start, publisher: Publisher, tmp_path: Path) -> None:
    run = start("fetch", "landmark_embedding", "--url", f"{publisher.url}/landmarks")
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert err.count("\n") == 1
    assert "landmark_embedding.npy: has the SHA-256" in err
    assert not list((tmp_path / "cache/gdpw-pipe").iterdir())


def test_a_login_that_nobody_can_type_is_asked_for_by_its_variables(start: Start) -> None:
    run = start("fetch", "flame")
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "set GDPW_FLAME_USER and GDPW_FLAME_PASSWORD" in err


def test_the_login_is_typed_unseen(
    publisher: Publisher, files: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    pty = pytest.importorskip("pty")
    publisher.login = {"username": USER, "password": PASSWORD}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        command = [sys.executable, "-m", "jobs.cli", "assets", *fetch_flame(publisher, files)]
        os.execve(command[0], command, environment)
    seen = ""
    for question, answer in (("User name: ", USER), ("Password: ", PASSWORD), ("", "")):
        try:
            while not (question and seen.endswith(question)):
                seen += os.read(terminal, 1000).decode()
        except OSError:  # the terminal closes with the command
            break
        os.write(terminal, f"{answer}\n".encode())
    assert os.waitpid(child, 0)[1] == 0, seen
    assert publisher.asked[0].form == publisher.login
    assert USER in seen
    assert PASSWORD not in seen


def test_a_folder_is_sorted_and_then_reported(files: Path, kept: Path) -> None:
    said: list[str] = []
    with pytest.raises(PipelineError, match=r"^2 files added, 1 refused$"):
        add([files], None, said.append)
    assert said[0] == f"flame: {files}/generic_model.pkl -> {kept}/generic_model.pkl"
    assert said[2].startswith(f"refused: {files}/other/flame2023.pkl: not added as flame2023")

    rows = {line.split()[0]: line for line in status([]).splitlines() if line}
    assert rows["flame"].endswith(f"{kept}/generic_model.pkl")
    assert rows["deca"].endswith("not found")
    assert "as published" in rows["face_landmarker"]
    assert rows["flame"].index(str(kept)) == rows["asset"].index("found")
    assert status(["deca"]).endswith("and 'gdpw-pipe assets add FILE'")

    (kept / "landmark_embedding.npy").write_bytes(b"rotten")
    with pytest.raises(PipelineError, match=r"^1 of 4 cannot be used: landmark_embedding$"):
        verify([], said.append)
    assert "landmark_embedding.npy: changed since it was added" in said[-1]


def test_a_file_of_no_known_kind_is_added_only_as_what_it_is_said_to_be(files: Path, kept: Path) -> None:
    said: list[str] = []
    head = (files / "generic_model.pkl").rename(files / "head.pkl")
    for file in (files / "other" / "notes.txt", head):
        with pytest.raises(PipelineError, match=r"^0 files added, 1 refused$"):
            add([file], None, said.append)
    assert "notes.txt: none of the assets" in said[0]
    assert "may be flame or flame2023; say which with --as" in said[1]
    add([head], "flame2023", said.append)
    assert (kept / "flame2023.pkl").read_bytes() == head.read_bytes()


def test_the_commands_answer(start: Start) -> None:
    runs = [start(*arguments) for arguments in ((), ("status", "vgg19"), ("verify", "face_landmarker"))]
    outs = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert all(command in outs[0] for command in ("status", "add", "verify", "fetch"))
    assert "BSD-3-Clause (torchvision)" in outs[1]
    assert "ok, as published" in outs[2]


def test_misuse(start: Start, tmp_path: Path) -> None:
    for arguments, part in (
        (("fetch", "nonsense"), "'nonsense' is not one of"),
        (("fetch", "flame", "deca", "--url", "http://127.0.0.1"), "for one asset at a time"),
        (("fetch", "deca", "--sha256", "xyz"), "--sha256 xyz"),
        (("add", "gone"), "gone"),
        (("verify", "nonsense"), "'nonsense' is not one of"),
    ):
        run = start(*arguments)
        _, err = run.communicate(timeout=60)
        assert run.returncode == 2
        assert err.count("\n") == 1
        assert part in err

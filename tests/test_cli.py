"""The command line: a fault is one line that names the file; exit code 2 means misuse, 1 failure."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import jobs.cli
from pipeline.encode import write_video
from pipeline.ledger import Status, read_ledger


class Outcome(NamedTuple):
    """err: without the line on which commands that fit say how, once they begin."""

    code: int
    out: str
    err: str
    begun: bool


@pytest.fixture
def gdpw_pipe(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Any:
    """Calls the console script in this process."""

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["gdpw-pipe", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            jobs.cli.main()
        out, err = capfd.readouterr()
        fitter = re.match(r"fitter: .*\n", err)
        return Outcome(int(end.value.code or 0), out, err[fitter.end() :] if fitter else err, bool(fitter))

    return call


def assert_one_line(outcome: Outcome, code: int, *parts: str | Path) -> None:
    assert outcome.code == code, outcome.err
    assert outcome.err.startswith("gdpw-pipe: error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    for part in parts:
        assert str(part) in outcome.err


@pytest.fixture
def faceless(tmp_path: Path) -> Path:
    """A second of a gray ramp."""
    ramp = np.broadcast_to(np.linspace(0, 255, 160).astype(np.uint8)[None, :, None], (120, 160, 3))
    write_video(tmp_path / "ramp.mp4", [ramp] * 25, 25)
    return tmp_path / "ramp.mp4"


@pytest.fixture
def garbage(tmp_path: Path) -> Path:
    (tmp_path / "garbage.mp4").write_bytes(bytes(range(256)) * 40)
    return tmp_path / "garbage.mp4"


def test_help_and_no_arguments_show_the_commands(gdpw_pipe: Any) -> None:
    for arguments in ((), ("--help",)):
        outcome = gdpw_pipe(*arguments)
        assert outcome.code == 0
        assert all(command in outcome.out for command in ("preprocess", "reenact", "demo", "doctor"))


def test_help_loads_no_heavy_library() -> None:
    program = "import sys, jobs.cli; print(*{'torch', 'numpy', 'cv2', 'mediapipe', 'pyarrow'} & set(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("--nonsense",), "--nonsense"),
        (("preprocess", ".", "out", "--nonsense"), "--nonsense"),
        (("preprocess", "."), "OUT"),
        (("preprocess", "gone.mp4", "out"), "gone.mp4"),
        (("preprocess", ".", "out", "--size", "7"), "--size"),
        (("preprocess", ".", "out", "--size", "big"), "--size"),
        (("preprocess", ".", "out", "--face-model", "gone.pkl"), "gone.pkl"),
        (("reenact", "gone.png", "gone.mp4", "out.mp4"), "gone.png"),
        (("reenact", "a.png", "a.png", "out.mp4", "--layout", "sideways"), "'sideways' is not one of"),
        (("reenact", "a.png", "a.png", "out.avi"), "out.avi: give it a name that ends in .mp4"),
        (("reenact", "a.png", "a.png", "there.mp4"), "there.mp4: exists already; --overwrite"),
        (("reenact", "a.png", "a.png", "folder.mp4"), "folder.mp4: a folder, not a file"),
        (("preprocess", "a.png", "full"), "full: not empty"),
        (("preprocess", "a.png", "there.mp4"), "there.mp4: a file"),
        (("doctor", "now"), "now"),
    ],
)
def test_misuse(
    gdpw_pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = ["a.png", "folder.mp4", "full", "there.mp4"]
    for name in ("a.png", "there.mp4", "full/file", "folder.mp4/file"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    outcome = gdpw_pipe(*arguments)
    assert_one_line(outcome, 2, part)
    assert not outcome.begun
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_unreadable_video(gdpw_pipe: Any, garbage: Path, tmp_path: Path) -> None:
    assert_one_line(gdpw_pipe("preprocess", garbage, tmp_path / "out"), 1, garbage, "cannot be read")
    (row,) = read_ledger(tmp_path / "out")
    assert (row.status, row.reason, row.tracks) == (Status.FAILED, "unreadable", 0)


def test_a_video_without_a_face(gdpw_pipe: Any, faceless: Path, tmp_path: Path) -> None:
    assert_one_line(gdpw_pipe("preprocess", faceless, tmp_path / "out"), 1, faceless, "no face")
    (row,) = read_ledger(tmp_path / "out")
    assert (row.status, row.reason, row.tracks) == (Status.SKIPPED, "no_face", 0)
    assert not list((tmp_path / "out").rglob("*.tar"))


def test_a_folder_of_which_nothing_is_usable(gdpw_pipe: Any, faceless: Path, garbage: Path, tmp_path: Path) -> None:
    outcome = gdpw_pipe("preprocess", tmp_path, tmp_path / "out")
    assert_one_line(outcome, 1, "none of 2 inputs gave a track", "ledger.parquet")
    assert [row.reason for row in read_ledger(tmp_path / "out")] == ["unreadable", "no_face"]


def test_a_folder_without_videos(gdpw_pipe: Any, tmp_path: Path) -> None:
    assert_one_line(gdpw_pipe("preprocess", tmp_path, tmp_path / "out"), 1, tmp_path, "no video")


def test_a_portrait_without_a_face(gdpw_pipe: Any, faceless: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (200, 200), "gray").save(tmp_path / "gray.png")
    outcome = gdpw_pipe("reenact", tmp_path / "gray.png", faceless, tmp_path / "out.mp4")
    assert_one_line(outcome, 1, tmp_path / "gray.png", "no face")
    assert not (tmp_path / "out.mp4").exists()


def test_a_portrait_that_is_no_picture(gdpw_pipe: Any, garbage: Path, faceless: Path, tmp_path: Path) -> None:
    assert_one_line(gdpw_pipe("reenact", garbage, faceless, tmp_path / "out.mp4"), 1, garbage, "name its moment")


def test_a_driver_without_a_face(gdpw_pipe: Any, astronaut: Path, faceless: Path, tmp_path: Path) -> None:
    assert_one_line(gdpw_pipe("reenact", astronaut, faceless, tmp_path / "out.mp4"), 1, faceless, "no face")


def test_a_file_that_is_no_face_model(gdpw_pipe: Any, faceless: Path, garbage: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    for model in (garbage, tmp_path / "other.npz"):
        assert_one_line(gdpw_pipe("preprocess", faceless, tmp_path / "out", "--face-model", model), 1, model)


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_a_crafted_pickle_runs_nothing(gdpw_pipe: Any, faceless: Path, tmp_path: Path) -> None:
    model, mark = tmp_path / "generic_model.pkl", tmp_path / "mark"
    model.write_bytes(pickle.dumps(_Bomb(mark)))
    assert_one_line(gdpw_pipe("preprocess", faceless, tmp_path / "out", "--face-model", model), 1, model)
    assert not mark.exists()


@pytest.mark.parametrize("command", ["preprocess", "reenact"])
def test_an_unwritable_output(gdpw_pipe: Any, astronaut: Path, faceless: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    out = tmp_path / "file" / ("out.mp4" if command == "reenact" else "out")
    inputs = [astronaut, faceless] if command == "reenact" else [faceless]
    assert_one_line(gdpw_pipe(command, *inputs, out), 1, out, "cannot be written")


def test_debug_shows_the_traceback(gdpw_pipe: Any, garbage: Path, tmp_path: Path) -> None:
    for arguments in (
        ("--debug", "preprocess", garbage, tmp_path / "a"),
        ("preprocess", garbage, tmp_path / "b", "--debug"),
    ):
        outcome = gdpw_pipe(*arguments)
        assert outcome.code == 1
        assert "Traceback" in outcome.err


def test_an_interrupt_ends_quietly(
    gdpw_pipe: Any, garbage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jobs.preprocess

    def interrupted(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs.preprocess, "run", interrupted)
    outcome = gdpw_pipe("preprocess", garbage, tmp_path / "out")
    assert outcome.code == 130
    assert outcome.err.strip() == "gdpw-pipe: error: interrupted"


def test_a_fault_nobody_foresaw_is_one_line_too(
    gdpw_pipe: Any, garbage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jobs.preprocess

    def broken(_: object) -> str:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr(jobs.preprocess, "run", broken)
    outcome = gdpw_pipe("preprocess", garbage, tmp_path / "out")
    assert_one_line(outcome, 1, "unexpected ZeroDivisionError: first line second line", "--debug")

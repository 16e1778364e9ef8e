"""edit on a real portrait: the prompt on a terminal and on a pipe, lines, scripts and presets."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from synthetic_dataset import MadeTrack, write_dataset

from fit_deca.editing import PRESET_ACTS, parameter_values, preset_animation
from fit_deca.head import load_generic_head
from jobs.edit import PICTURE, VIDEO, EditConfig, run
from jobs.outputs import MisuseError
from pipeline.dataset import open_dataset
from pipeline.edit_file import read_performance
from pipeline.pictures import read_picture
from pipeline.shards import FaceModelStamp
from pipeline.video import read_frames

ROOT = Path(__file__).parents[1]
README_LINES = (
    *("shape 0 1.5", "exp 0 -1", "global_pose yaw -10", "jaw_pose pitch 5", "cam scale 10", "cam tx -2", "reset"),
    "shape 0 1.5 exp 0 -1 global_pose yaw -10 jaw_pose pitch 5 cam scale 10",
)
HEAD = FaceModelStamp.of(load_generic_head())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and one for what the prompt remembers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GDPW_ASSETS", str(tmp_path / "remembered"))
    return tmp_path


def program(*arguments: str | Path) -> tuple[list[str], dict[str, str]]:
    """The command, and its environment."""
    return [sys.executable, "-m", "jobs.cli", "edit", *map(str, arguments)], {**os.environ, "PYTHONPATH": str(ROOT)}


class Terminal:
    """A person at a terminal, typing to a program."""

    def __init__(self, *arguments: str | Path) -> None:
        command, environment = program(*arguments)
        self._ours, theirs = pty.openpty()
        environment |= {"TERM": "xterm", "COLUMNS": "200", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)

    def read_until(self, wanted: str, seconds: float = 120) -> str:
        """What is printed until a text is, without the terminal's escapes."""
        seen, end = "", time.monotonic() + seconds
        while wanted not in seen:
            ready, _, _ = select.select([self._ours], [], [], max(end - time.monotonic(), 0))
            assert ready, f"no {wanted!r} in {seen!r}"
            try:
                chunk = os.read(self._ours, 4096).decode(errors="replace")
            except OSError:  # the other end is closed
                pytest.fail(f"ended without {wanted!r}: {seen!r}")
            seen += re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", chunk)
        return seen

    def type(self, keys: str) -> None:
        """Type when the prompt has the terminal: between prompts its keys would be the terminal's own."""
        end = time.monotonic() + 60
        while termios.tcgetattr(self._ours)[3] & termios.ICANON:
            assert time.monotonic() < end, "no prompt"
            time.sleep(0.02)
        os.write(self._ours, keys.encode())

    def ask(self, line: str, answer: str, key: str = "\r") -> None:
        """Type a line and wait for an answer that is not the line itself."""
        self.type(line + key)
        self.read_until(answer)

    def change(self, line: str) -> NDArray[np.uint8]:
        """Type a line and wait for the new picture that it brings."""
        before, end = PICTURE.stat().st_ino, time.monotonic() + 60
        self.type(f"{line}\r")
        while PICTURE.stat().st_ino == before:
            assert time.monotonic() < end, f"{line}: no new picture"
            time.sleep(0.02)
        return read_picture(PICTURE)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(astronaut: Path) -> Iterator[Terminal]:
    opened = Terminal(astronaut)
    yield opened
    opened.close()


def test_every_command_of_the_originals_readme_at_a_terminal(terminal: Terminal, folder: Path) -> None:
    terminal.read_until("edit>")
    seen = [read_picture(PICTURE)]
    seen += [terminal.change(line) for line in README_LINES]
    assert all(picture.shape == (256, 1024, 3) for picture in seen)
    changes = [np.abs(new[:, 256:].astype(int) - old[:, 256:]).mean() for old, new in pairwise(seen)]
    assert min(changes) > 0.1, "each line changes result and mesh"
    np.testing.assert_array_equal(seen[0], seen[7])
    for line, fault in (
        ("shape 0 2.5", "lies between -2 and 2"),
        ("shape 100 1", "choose from 0 to 99"),
        ("exp 50 1", "choose from 0 to 49"),
        ("nose 0 1", "no parameter 'nose'"),
        ("exp 0", "an edit has three words"),
        ("exp 0 much", "'much' is no number"),
    ):
        terminal.ask(line, fault)
    np.testing.assert_array_equal(read_picture(PICTURE), seen[-1])
    np.testing.assert_array_equal(terminal.change("exp 0 1\x03undo"), seen[0])  # Ctrl-C drops the line begun
    for begun, completed in (("jaw\t", "_pose"), (" pi\t", "tch")):
        terminal.ask(begun, completed, key="")
    by_tab = terminal.change(" 7")
    np.testing.assert_array_equal(terminal.change("undo"), seen[0])
    np.testing.assert_array_equal(terminal.change("\x1b[A\x1b[A"), by_tab)  # up: the line before the last one
    terminal.ask("show", "pitch 7.00*")
    terminal.type("\x04")  # Ctrl-D ends
    terminal.read_until(f"{PICTURE}: jaw_pose pitch 7")
    assert terminal.process.wait(30) == 0


def test_a_pipe_is_obeyed_and_told_its_faults(astronaut: Path, folder: Path) -> None:
    command, environment = program(astronaut, "--out", "out.jpg")
    lines = "cam tx 0.01\nshape 0 3\nsave codes.npz\nquit\nreset\n"
    ended = subprocess.run(command, env=environment, input=lines, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["cam tx 0.01", "codes.npz: saved", "out.jpg: cam tx 0.01"]
    assert "error: 'shape 0 3': a value of shape lies between -2 and 2\n" in ended.stderr
    assert read_performance(Path("codes.npz"), HEAD).codes.camera[0, 1].item() == pytest.approx(0.01)


def test_commands_and_script_make_one_picture_and_codes(astronaut: Path, folder: Path) -> None:
    Path("script.txt").write_text("# turn\nglobal_pose yaw 20\nexp 0 1\nundo\n")
    config = EditConfig(portrait=str(astronaut), script=Path("script.txt"), commands="cam tx 0.02", save=Path("a.npz"))
    assert run(config) == f"{PICTURE}: global_pose yaw 20 cam tx 0.02"
    assert read_picture(PICTURE).shape == (256, 1024, 3)
    codes = read_performance(Path("a.npz"), HEAD).codes
    assert parameter_values(codes, "global_pose")[0, 0].item() == pytest.approx(20, abs=1e-3)


def test_a_bad_line_of_a_script_is_named_and_nothing_written(astronaut: Path, folder: Path) -> None:
    Path("script.txt").write_text("exp 0 1\n\nexp 0 9\n")
    with pytest.raises(MisuseError, match=r"^script\.txt:3: 'exp 0 9': a value of exp lies between"):
        run(EditConfig(portrait=str(astronaut), script=Path("script.txt")))
    assert [path.name for path in folder.iterdir()] == ["script.txt"]


def test_a_preset_is_a_video_of_the_edited_face_and_drives(astronaut: Path, folder: Path) -> None:
    config = EditConfig(portrait=str(astronaut), preset="exp", commands="jaw_pose pitch 9", save=Path("a.npz"))
    assert run(config) == f"{VIDEO}: 160 frames"
    frames = [frame.image for frame in read_frames(VIDEO)]
    assert len(frames) == 160
    assert frames[0].shape == (256, 1024, 3)
    still = [np.abs(frames[row].astype(int) - frames[0]).mean() for row in (39, 79)]
    assert still[1] < 1 < still[0], "out at frame 39, back at 79"
    performance = read_performance(Path("a.npz"), HEAD)
    np.testing.assert_allclose(np.diff(performance.times), 1 / 25)
    start = type(performance.codes)(*(code[:1] for code in performance.codes))
    assert parameter_values(start, "jaw_pose")[0, 1].item() == pytest.approx(9, abs=1e-3)
    expected = preset_animation(start, "exp").flat()
    np.testing.assert_allclose(performance.codes.flat(), expected, atol=1e-5)


def test_a_frame_of_a_dataset_is_edited_by_its_stored_codes(folder: Path) -> None:
    dataset = write_dataset(folder / "data", (MadeTrack("ann"),))
    config = EditConfig(portrait=f"{dataset}::ann/video/clip@2", commands="exp 0 1", save=Path("a.npz"))
    assert run(config) == f"{PICTURE}: exp 0 1"
    (row,) = (opened := open_dataset(dataset, HEAD)).tracks
    stored = opened.read_sample(row, 2).codes
    edited = read_performance(Path("a.npz"), HEAD).codes.flat()[0].numpy()
    assert np.flatnonzero(edited != stored).tolist() == [100], "the first coefficient of expression, and no other"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": Path("there.jpg"), "commands": ""}, "there.jpg: exists already"),
        ({"out": Path("out.mp4")}, "give it a name that ends in .jpg"),
        ({"out": Path("out.jpg"), "preset": "all"}, "give it a name that ends in .mp4"),
        ({"save": Path("out.npz")}, "--save goes with"),
        ({"save": Path("there.jpg"), "commands": ""}, "give it a name that ends in .npz"),
    ],
)
def test_misuse_is_told_before_the_work(folder: Path, options: dict[str, object], message: str) -> None:
    Path("there.jpg").touch()
    with pytest.raises(MisuseError, match=re.escape(message)):
        run(EditConfig(portrait="gone.png", **options))  # type: ignore[arg-type]
    assert [path.name for path in folder.iterdir()] == ["there.jpg"]


def test_the_command_knows_the_presets() -> None:
    from jobs.commands.edit import edit

    (option,) = [option for option in edit.params if option.name == "preset"]
    assert list(option.type.choices) == ["all", *PRESET_ACTS]

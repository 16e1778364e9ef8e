"""Lines of the prompt: each does what its help says, and a bad one is told in one line and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_session import SCALE, toy_session

from fit_deca.editing import PARAMETERS, axis_angle_to_degrees
from jobs.edit_language import HELP, WORDS, obey, script_lines, show, summary
from jobs.outputs import MisuseError
from pipeline.edit_session import EditSession
from pipeline.errors import PipelineError

README_LINE = "shape 0 1.5 exp 0 -1 global_pose yaw -10 jaw_pose pitch 5 cam scale 10"


@pytest.fixture
def session() -> EditSession:
    return toy_session()


def test_the_line_of_the_originals_readme_is_obeyed_and_told_back(session: EditSession) -> None:
    reply = obey(session, README_LINE)
    assert reply.changed
    assert reply.text == README_LINE
    codes = session.codes
    assert (codes.shape[0, 0], codes.expression[0, 0], codes.camera[0, 0]) == (1.5, -1, 10)
    torch.testing.assert_close(axis_angle_to_degrees(codes.pose[:, :3]), torch.tensor([[-10.0, 0, 0]]))
    torch.testing.assert_close(axis_angle_to_degrees(codes.pose[:, 3:]), torch.tensor([[0.0, 5, 0]]))


def test_the_summary_of_a_face_leads_there_from_the_portrait(session: EditSession) -> None:
    obey(session, "leye_pose pitch 7 exp 49 0.25 cam tx -2")
    wanted, line = session.codes.flat(), summary(session)
    obey(session, "reset")
    assert summary(session) == "as in the portrait"
    obey(session, line)
    torch.testing.assert_close(session.codes.flat(), wanted)


def test_a_long_summary_is_cut(session: EditSession) -> None:
    obey(session, " ".join(f"shape {number} 1" for number in range(13)))
    assert summary(session).endswith("shape 9 1 and 3 more")


def test_undo_redo_and_reset(session: EditSession) -> None:
    obey(session, "cam scale 1 shape 3 1")
    assert obey(session, "undo") == ("as in the portrait", True, False)
    assert obey(session, " redo ").text == "shape 3 1 cam scale 1"
    assert obey(session, "reset").changed
    assert obey(session, "undo").text == "shape 3 1 cam scale 1"


def test_show_marks_what_differs_and_names_every_parameter(session: EditSession) -> None:
    obey(session, "shape 50 1.25 jaw_pose pitch 5")
    lines = dict(line.split(maxsplit=1) for line in show(session).splitlines())
    assert list(lines) == list(PARAMETERS)
    assert lines["shape"].startswith("0 0.00  1 0.00 ")
    assert lines["shape"].endswith("  9 0.00  50 1.25*")
    assert lines["jaw_pose"] == "yaw 0.00  pitch 5.00*  roll 0.00"
    assert lines["cam"] == "scale 0.15  tx 0.00  ty -3.00"
    assert obey(session, "show") == (show(session), False, False)


def test_help_names_every_word(session: EditSession) -> None:
    assert obey(session, "help").text == HELP
    assert all(word in HELP for word in (*PARAMETERS, *WORDS))


def test_quit_ends_and_an_empty_line_does_nothing(session: EditSession) -> None:
    assert obey(session, "quit").ended
    assert obey(session, "  ") == ("", False, False)


def test_codes_are_saved_and_loaded(session: EditSession, tmp_path: Path) -> None:
    path = tmp_path / "two words.npz"
    obey(session, "cam scale 2")
    assert obey(session, f"save {path}") == (f"{path}: saved", False, False)
    obey(session, "reset")
    assert obey(session, f"load {path}") == ("cam scale 2", True, False)


def test_a_file_is_replaced_only_where_allowed(session: EditSession, tmp_path: Path) -> None:
    path = tmp_path / "codes.npz"
    path.write_bytes(b"former")
    with pytest.raises(MisuseError, match="exists already; --overwrite"):
        obey(session, f"save {path}")
    assert path.read_bytes() == b"former"
    obey(session, f"save {path}", overwrite=True)
    obey(session, f"load {path}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("shape 0 2.01", "a value of shape lies between -2 and 2"),
        ("exp 0 -3", "a value of exp lies between -2 and 2"),
        ("shape 100 1", "shape has no part '100', choose from 0 to 99"),
        ("exp 50 1", "exp has no part '50', choose from 0 to 49"),
        ("nose 0 1", "no parameter 'nose', choose from shape, exp, global_pose, jaw_pose, leye_pose, reye_pose, cam"),
        ("jaw_pose tilt 1", "jaw_pose has no part 'tilt', choose from yaw, pitch, roll"),
        ("cam x 1", "cam has no part 'x', choose from scale, tx, ty"),
        ("cam scale 1 shape 0", "'shape 0': an edit has three words"),
        ("undo twice", "'undo twice': an edit has three words"),
        ("cam scale 1 shape 0 much", "'much' is no number"),
        ("undo", "nothing to undo"),
        ("redo", "nothing to redo"),
        ("save", "name a file"),
        ("load", "name a file"),
        ("save codes.txt", "give it a name that ends in .npz"),
        ("load gone.npz", "gone.npz: cannot be read (No such file or directory)"),
    ],
)
def test_a_bad_line_is_told_in_one_line_and_changes_nothing(session: EditSession, line: str, message: str) -> None:
    with pytest.raises(PipelineError) as error:
        obey(session, line)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert session.codes.camera[0, 0].item() == pytest.approx(SCALE)
    assert not session.can_undo


def test_scripts_have_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "script.txt"
    path.write_text("# a smile\nexp 0 1\n\n  # and a turn\nglobal_pose yaw 5\n")
    assert list(script_lines(path)) == [(2, "exp 0 1"), (5, "global_pose yaw 5")]


def test_a_script_that_is_no_text_says_so(tmp_path: Path) -> None:
    path = tmp_path / "script.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MisuseError, match=r"script\.txt: cannot be read as text"):
        list(script_lines(path))

"""doctor: one aligned line a finding; the default path works here."""

from __future__ import annotations

from pathlib import Path

from jobs.doctor import Check, State, examine, report, usable


def test_the_default_path_works_here(tmp_path: Path) -> None:
    checks = examine(tmp_path)
    assert usable(checks), report(checks)
    found = {check.name: check for check in checks}
    assert "libx264" in found["H.264 encoder"].found
    assert found["generic head"].state == State.OK
    assert found["landmark model"].state == State.OK
    assert {"FLAME", "DECA", "GDPW"} == {check.name for check in checks if check.found == "not in this folder"}
    assert all(check.advice for check in checks if check.state != State.OK)


def test_published_files_are_found_where_the_originals_have_them(tmp_path: Path) -> None:
    (tmp_path / "Fit-DECA/data").mkdir(parents=True)
    (tmp_path / "Fit-DECA/data/deca_model.tar").touch()
    deca = next(check for check in examine(tmp_path) if check.name == "DECA")
    assert (deca.state, deca.found) == (State.OK, "Fit-DECA/data/deca_model.tar")


def test_a_face_model_that_does_not_load_is_said(tmp_path: Path) -> None:
    (tmp_path / "generic_model.pkl").write_bytes(b"nonsense")
    flame = next(check for check in examine(tmp_path) if check.name == "FLAME")
    assert flame.state == State.ABSENT
    assert "generic_model.pkl" in flame.advice


def test_the_report_is_aligned_and_ends_with_the_verdict() -> None:
    checks = [Check("a", State.OK, "1"), Check("longer", State.ABSENT, "none", "do this")]
    lines = report(checks).splitlines()
    assert lines[0].index("1") == lines[1].index("none")
    assert lines[-1].startswith("The default path works")
    missing = [*checks, Check("b", State.MISSING, "none", "do that")]
    assert not usable(missing)
    assert report(missing).splitlines()[-1].startswith("The default path does not work yet")

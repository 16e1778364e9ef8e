"""doctor: one aligned line a finding; the default path works here."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_flame import toy_arrays, write_pickle

from jobs.doctor import Check, State, examine, report, usable


@pytest.fixture(autouse=True)
def no_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("GDPW_ASSETS", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_default_path_works_here(tmp_path: Path) -> None:
    checks = examine(tmp_path)
    assert usable(checks), report(checks)
    found = {check.name: check for check in checks}
    assert "libx264" in found["H.264 encoder"].found
    assert found["generic head, face model"].state == State.OK
    assert found["MediaPipe's landmark model"].state == State.OK
    assert found["DECA, trained model"].advice == "optional: gdpw-pipe assets fetch deca"
    assert all(check.advice for check in checks if check.state != State.OK)


def test_published_files_are_found_where_the_originals_have_them(tmp_path: Path) -> None:
    (tmp_path / "Fit-DECA/data").mkdir(parents=True)
    path = write_pickle(tmp_path / "Fit-DECA/data/generic_model.pkl", toy_arrays(400))
    flame = next(check for check in examine(tmp_path) if check.name == "FLAME 2020, face model")
    assert (flame.state, flame.found) == (State.OK, str(path))


def test_a_face_model_that_does_not_load_is_said(tmp_path: Path) -> None:
    (tmp_path / "generic_model.pkl").write_bytes(b"nonsense")
    flame = next(check for check in examine(tmp_path) if check.name == "FLAME 2020, face model")
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

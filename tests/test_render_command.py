"""What `render` says to those who ask for what there is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.cli import cli
from jobs.outputs import MisuseError
from pipeline.errors import PipelineError


@pytest.fixture
def footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("faces/ann.png", "clips/a.mp4", "clips/b.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    Path("jobs.csv").write_text("source,driving\nfaces/ann.png,clips/a.mp4\n")
    return tmp_path


PAIRS = ["--sources", "faces", "--drivings", "clips"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "one of --jobs, --drivings with --sources, and --dataset"),
        (["--jobs", "jobs.csv", "--drivings", "clips"], "one of --jobs, --drivings with --sources, and --dataset"),
        (["--jobs", "jobs.csv", "--pair", "zip"], "leave out --sources and --pair"),
        (["--drivings", "clips"], "--drivings needs --sources"),
        (["--dataset", "clips", "--pair", "zip"], "--pair needs --sources"),
        ([*PAIRS, "--pair", "most"], "not all, zip or random:N"),
        ([*PAIRS, "--retry", "all"], "'all' is not 'failed'"),
        (["--jobs", "gone.csv"], "does not exist"),
    ],
)
def test_misuse_is_told_and_nothing_written(arguments: list[str], problem: str, footage: Path) -> None:
    result = CliRunner().invoke(cli, ["render", "out", *arguments])
    assert (result.exit_code, problem in result.output) == (2, True), result.output
    assert not (footage / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "problem"),
    [
        ([*PAIRS, "--layout", "panels", "--paste-back"], MisuseError, "leave out --paste-back or --layout panels"),
        ([*PAIRS, "--pair", "zip"], PipelineError, "zip needs as many drivers as sources, found 2 for 1"),
        ([*PAIRS, "--pair", "random:3"], PipelineError, "more than the 2 pairs"),
        (["--sources", "clips", "--drivings", "clips"], PipelineError, "no still picture in it"),
    ],
)
def test_what_does_not_fit_is_told(
    arguments: list[str], kind: type[PipelineError], problem: str, footage: Path
) -> None:
    with pytest.raises(kind, match=problem):
        CliRunner().invoke(cli, ["render", "out", *arguments], catch_exceptions=False)
    assert not (footage / "out").exists()

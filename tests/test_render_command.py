"""What `render` says to those who ask for what there is not, and `status` of a render."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.cli import cli
from jobs.outputs import MisuseError
from jobs.render import key_of
from jobs.status import run as status
from pipeline.assembly import RUN
from pipeline.errors import PipelineError, Reason
from pipeline.pieces import Pieces
from pipeline.render_ledger import RenderRow
from pipeline.render_plan import RenderJob


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


def test_status_counts_the_jobs_of_a_render(tmp_path: Path) -> None:
    job = RenderJob(source="a.png", driving="b.mp4", output="a b/c.mp4")
    pieces = Pieces(tmp_path / "out")
    pieces.begin({})
    pieces.write(RUN, {"what": "jobs", "clips": 3, "missing": 3, "start": 0.0})
    row = RenderRow.without(job, Reason.NO_FACE, "a.png: no face found")
    pieces.write(key_of(job), {"result": row.as_json(), "time": 10.0})
    said = status(tmp_path / "out").splitlines()
    assert said[0].split() == ["jobs", "1", "of", "3"]
    assert ["no_face", "1"] in [line.split() for line in said]

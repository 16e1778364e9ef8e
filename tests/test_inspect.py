"""Inspecting a dataset: figures worked by hand, a page that needs only a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import HEAD, make_sample
from shard_writer import write_shards

from fit_deca.codes import CODE_SIZES
from jobs.inspect import InspectConfig, run
from pipeline.dataset import write_description
from pipeline.errors import InputError, PipelineError, Reason
from pipeline.inspection import inspect_dataset
from pipeline.ledger import LedgerRow, ManifestRow, Status, write_ledger, write_manifest
from pipeline.report import write_report
from pipeline.shards import Sample

FRAMES = {"ann": 12, "<bob>": 30}
TURN = sum(CODE_SIZES[name] for name in ("shape", "expression"))


def turned(identity: str, frame: int) -> Sample:
    """Ann looks 30 degrees to the picture's right, Bob 20 degrees up; errors grow by 0.1 px a frame."""
    sample = make_sample(frame, identity)
    codes = sample.codes.copy()
    codes[TURN : TURN + 3] = [0, np.radians(30), 0] if identity == "ann" else [np.radians(-20), 0, 0]
    return replace(sample, arrays={**sample.arrays, "codes": codes})


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    rows = []
    tracks = [[turned(identity, frame) for frame in range(frames)] for identity, frames in FRAMES.items()]
    places = write_shards(tmp_path, tracks, HEAD)
    for (identity, frames), (shard, offsets) in zip(FRAMES.items(), places, strict=True):
        row = ManifestRow(
            identity=identity,
            video="video.1",
            clip="clip",
            track=0,
            frames=frames,
            shard=shard,
            error_median_px=frames / 20,
            error_p95_px=frames / 10,
            jitter_px=0.5,
            split="train" if identity == "ann" else "val",
            numbers=list(range(frames)),
            offsets=offsets,
        )
        rows.append(row)
    write_manifest(rows, tmp_path)
    faults = [
        *(None, InputError(Reason.TRUNCATED, "b.mp4: damaged")),
        *(InputError(Reason.NO_FACE, f"{name}.mp4: no <face>") for name in "cd"),
    ]
    counts = [12, 30, 0, 0]
    ledger = [
        LedgerRow.of(f"{name}.mp4", fault, tracks=min(frames, 1), frames=frames, seconds=1.0, tracking=0.4)
        for name, fault, frames in zip("abcd", faults, counts, strict=True)
    ]
    write_ledger(ledger, tmp_path)
    write_description(tmp_path, HEAD, {"crop": {"size": 64}})
    return tmp_path


def test_the_figures_are_those_of_the_tables(dataset: Path) -> None:
    found = inspect_dataset(dataset)
    assert (found.frames, len(found.tracks), found.seconds) == (42, 2, 4.0)
    assert found.frames_by_identity() == {"<bob>": 30, "ann": 12}
    assert found.frames_by_split() == {"val": 30, "train": 12}
    assert found.reasons() == [(Reason.NO_FACE, Status.SKIPPED, 2), (Reason.TRUNCATED, Status.DONE, 1)]


def test_head_poses_are_right_and_up(dataset: Path) -> None:
    found = inspect_dataset(dataset)
    np.testing.assert_allclose(found.yaw, [30] * 12 + [0] * 30, atol=1e-4)
    np.testing.assert_allclose(found.pitch, [0] * 12 + [20] * 30, atol=1e-4)


def test_best_and_worst_frames_are_found(dataset: Path) -> None:
    found = inspect_dataset(dataset)
    assert [sample.key[0::4] for sample in found.best] == [("ann", 0), ("<bob>", 0)]
    assert [sample.key[0::4] for sample in found.worst] == [("<bob>", 29), ("ann", 11)]


def test_of_many_frames_some_are_looked_at_evenly(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inspection._LOOKED_AT", 14)
    found = inspect_dataset(dataset)
    np.testing.assert_allclose(found.error_px, [0, 0.3, 0.6, 0.9, *np.arange(0, 3, 0.3)], atol=1e-9)


def test_the_text_says_it_all(dataset: Path) -> None:
    said = run(InspectConfig(dataset=dataset))
    assert "42 in 2 tracks of 2 people (30 to val, 12 to train)" in said
    assert "4: 2 done, 2 skipped, 0 failed" in said
    assert re.search(r"no_face +2 skipped", said)
    assert "10.5 frames a second of work (decode and track 26.2, crop, fit and write 17.5)" in said
    assert str(dataset / "report.html") in said


def test_the_page_holds_its_pictures_and_fetches_nothing(dataset: Path) -> None:
    run(InspectConfig(dataset=dataset))
    document = (dataset / "report.html").read_text()
    assert document.count("data:image/jpeg") == 4
    assert "<bob>" not in document
    assert "&lt;bob&gt;" in document
    assert not re.search(r"https?:|src=\"(?!data:)|url\(|@import", document)


def test_meshes_are_drawn_where_their_triangles_are_known(dataset: Path) -> None:
    found = inspect_dataset(dataset)
    points = write_report(found, None).read_text()
    mesh = write_report(found, np.array([[0, 1, 2], [2, 1, 0]])).read_text()
    assert "The vertices of the fitted mesh" in points
    assert "The vertices of the fitted mesh" not in mesh
    assert points != mesh


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="not a dataset"):
        run(InspectConfig(dataset=tmp_path))


@pytest.fixture
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs Chromium")
    return found


def test_a_browser_shows_the_page_without_complaint(dataset: Path, browser: str, tmp_path: Path) -> None:
    """Every picture has a size once it is shown; nothing is said on the console."""
    run(InspectConfig(dataset=dataset))
    probe = "<script>console.log('widths', [...document.images].map(i => i.naturalWidth).join())</script></body>"
    page = tmp_path / "probed.html"
    page.write_text((dataset / "report.html").read_text().replace("</body>", probe))
    shown = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--enable-logging=stderr", f"--screenshot={tmp_path / 'shown.png'}", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    assert len(said) == 1
    assert "widths 128,128,128,128" in said[0]
    assert (tmp_path / "shown.png").stat().st_size > 10_000

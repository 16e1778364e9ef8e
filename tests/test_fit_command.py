"""fit: a picture or a clip becomes codes, a mesh and a preview."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from fit_deca.camera import apply_recover, project_orthographic
from fit_deca.codes import Codes
from fit_deca.flame import Flame
from fit_deca.head import load_generic_head
from jobs.commands.fit import fit
from jobs.options import Debug
from pipeline.assets import FOLDER_VARIABLE
from pipeline.pictures import read_picture
from pipeline.video import read_frames


def call(*arguments: object) -> tuple[str, str]:
    """What the command says on stdout and on stderr."""
    result = CliRunner().invoke(fit, list(map(str, arguments)), obj=Debug(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


@pytest.fixture(autouse=True)
def nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "assets"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_a_portrait_gives_codes_mesh_and_picture(astronaut: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said, aside = call(astronaut, out, "--size", 128)
    assert said.startswith(f"{out}: 1 frame, median error ")
    assert aside.startswith("fitter: landmarks on the generic head, shape a track, smooth optimise (deca would need ")
    assert sorted(path.name for path in out.iterdir()) == ["codes.npz", "mesh.obj", "preview.png"]

    flame = Flame(load_generic_head())
    with np.load(out / "codes.npz") as found:
        codes = Codes(*(torch.from_numpy(found[name]) for name in Codes._fields))
        plane = project_orthographic(flame(codes), codes.camera)
        again = apply_recover(plane, torch.from_numpy(found["recover"]).float())
        np.testing.assert_allclose(again[..., :2], found["vertices"][..., :2], atol=0.02)
        in_picture = np.linalg.inv(found["crop"][0]) @ [*found["vertices"][0].mean(0)[:2], 1]
    assert 150 < in_picture[0] < 300  # her face in the picture of 512
    lines = (out / "mesh.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    np.testing.assert_allclose(vertices, flame(codes)[0], atol=1e-5)
    assert sum(line.startswith("f ") for line in lines) == len(flame.faces)

    beside, under = np.split(read_picture(out / "preview.png").astype(int), 2, axis=1)
    changed = np.abs(beside - under).max(2) > 8
    assert 0.1 < changed.mean() < 0.9
    assert not changed[:4, :4].any()


def test_a_clip_gives_all_its_frames(excerpt: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call(excerpt, out, "--size", 64, "--fitter", "landmarks", "--smooth", "none")
    with np.load(out / "codes.npz") as found:
        assert found["expression"].shape == (12, 50)
        assert found["numbers"].tolist() == list(range(12))
        times = found["times"]
    frames = list(read_frames(out / "preview.mp4"))
    assert frames[0].image.shape == (64, 128, 3)
    np.testing.assert_allclose([frame.time for frame in frames], times, atol=1e-4)


def test_options_that_contradict_each_other_are_misuse(astronaut: Path, tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="shape frame needs the fitter deca"):
        fit.main(
            [str(astronaut), str(tmp_path / "out"), "--fitter", "landmarks", "--shape", "frame"],
            standalone_mode=False,
            obj=Debug(),
        )

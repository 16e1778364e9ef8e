"""Trained weights from the command line: animate with them, export them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_generator import recipe_generator

from fit_deca.head import load_generic_head
from gdpw.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gdpw.config import GeneratorConfig
from gdpw.errors import CheckpointError
from gdpw.generator import Generator
from gdpw.mesh_warp import MeshWarp
from jobs.export import ExportConfig
from jobs.export import run as export
from jobs.outputs import MisuseError
from jobs.reenact import ReenactConfig
from jobs.reenact import run as reenact
from pipeline.crop import CropConfig
from pipeline.errors import PipelineError
from pipeline.models import ModelConfig, load_model
from pipeline.video import read_frames

HEAD = load_generic_head()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small generator for the generic head, untrained."""
    torch.manual_seed(3)
    config = GeneratorConfig.small("both", vertices=len(HEAD.v_template))
    generator = Generator(config, torch.from_numpy(HEAD.faces)).state_dict()
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    save_checkpoint(path, Checkpoint(name="made here", config=config, generator=generator, face_model=HEAD.hash))
    return path


def test_without_weights_the_mesh_warps() -> None:
    assert isinstance(load_model(ModelConfig(), HEAD), MeshWarp)


def test_a_video_is_made_with_weights(weights: Path, astronaut: Path, excerpt: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    model = ModelConfig(checkpoint=weights, device="cpu")
    reenact(ReenactConfig(source=str(astronaut), driving=str(excerpt), out=out, model=model, crop=CropConfig(size=64)))
    pictures = np.stack([frame.image for frame in read_frames(out)])
    assert pictures.shape == (12, 64, 64, 3)
    assert pictures.std(axis=(1, 2)).min() > 1


def test_weights_for_another_face_model_are_refused(weights: Path, tmp_path: Path) -> None:
    config = GeneratorConfig.small("both")
    other = Checkpoint(name="x", config=config, generator=recipe_generator(config, "test/models").state_dict())
    save_checkpoint(tmp_path / "other.pth", other)
    with pytest.raises(CheckpointError, match="made for meshes of 5023 vertices"):
        load_model(ModelConfig(checkpoint=tmp_path / "other.pth", device="cpu"), HEAD)


def test_nvdiffrast_on_a_cpu_is_refused(weights: Path) -> None:
    with pytest.raises(PipelineError, match="needs an NVIDIA GPU"):
        load_model(ModelConfig(checkpoint=weights, rasterizer="nvdiffrast", device="cpu"), HEAD)


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_exported_weights_are_the_same(weights: Path, form: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{form}"
    assert export(ExportConfig(checkpoint=weights, out=out, format=form)).startswith(f"{out}: both generator")
    original = load_checkpoint(weights)
    exported = load_checkpoint(out, original.config)
    assert exported.face_model == (original.face_model if form == "safetensors" else None)
    assert set(exported.generator) == set(original.generator)
    for key, value in original.generator.items():
        assert torch.equal(exported.generator[key].nan_to_num(), value.nan_to_num()), key


def test_an_export_does_not_replace_a_file_unasked(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pth"
    out.write_bytes(b"former")
    with pytest.raises(MisuseError, match="exists already"):
        export(ExportConfig(checkpoint=weights, out=out, format="pth"))
    with pytest.raises(MisuseError, match=r"ends in \.safetensors"):
        export(ExportConfig(checkpoint=weights, out=out, format="safetensors"))
    assert out.read_bytes() == b"former"

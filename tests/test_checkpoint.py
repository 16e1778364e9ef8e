"""Checkpoint files that are ours, damaged, of another size or another face model."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_generator import faces, recipe_generator

from gdpw.checkpoint import (
    Checkpoint,
    export_released,
    export_safetensors,
    load_checkpoint,
    save_checkpoint,
)
from gdpw.config import DiscriminatorConfig, GeneratorConfig
from gdpw.discriminator import MultiScaleDiscriminator
from gdpw.errors import CheckpointError

SMALL = GeneratorConfig.small("both")


@pytest.fixture
def checkpoint() -> Checkpoint:
    discriminator = MultiScaleDiscriminator(DiscriminatorConfig(scales=(1, 2), blocks=2))
    return Checkpoint(
        name="made here",
        config=SMALL,
        generator=recipe_generator(SMALL, "test/checkpoint").state_dict(),
        face_model="abc",
        step=7,
        discriminator_config=discriminator.config,
        discriminator=discriminator.state_dict(),
        training={"rate": 2e-4, "moments": [torch.ones(2)]},
    )


def test_our_file_carries_all_of_it(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pth", checkpoint)
    loaded = load_checkpoint(tmp_path / "last.pth")
    assert (loaded.config, loaded.step, loaded.face_model) == (SMALL, 7, "abc")
    assert loaded.training is not None
    assert loaded.training["moments"][0].tolist() == [1, 1]
    assert loaded.build_discriminator().config == checkpoint.discriminator_config
    assert [file.name for file in tmp_path.iterdir()] == ["last.pth"]


def test_loading_goes_by_key_not_by_order(checkpoint: Checkpoint) -> None:
    shuffled = dict(reversed(checkpoint.generator.items()))
    built = replace(checkpoint, generator=shuffled).build_generator(faces(), 5023, "abc").state_dict()
    assert list(built) == list(checkpoint.generator)
    assert torch.equal(built["up_layers.x1_out.weight"], checkpoint.generator["up_layers.x1_out.weight"])


def test_the_original_code_can_read_our_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pth", checkpoint)
    content = torch.load(tmp_path / "last.pth", weights_only=True)
    assert {"generator", "discriminator", "global_step"} < content.keys()


def test_safetensors_carry_settings_and_face_model(checkpoint: Checkpoint, tmp_path: Path) -> None:
    export_safetensors(tmp_path / "g.safetensors", checkpoint)
    loaded = load_checkpoint(tmp_path / "g.safetensors")
    assert (loaded.config, loaded.step, loaded.face_model) == (SMALL, 7, "abc")
    with pytest.raises(CheckpointError, match="no discriminator"):
        loaded.build_discriminator()


def test_another_face_model_is_refused(checkpoint: Checkpoint) -> None:
    assert not checkpoint.build_generator(faces(), 5023, "abc").training
    with pytest.raises(CheckpointError, match="trained with the face model abc, the one in use is def"):
        checkpoint.build_generator(faces(), 5023, "def")


def test_another_vertex_count_is_refused_even_without_a_hash(checkpoint: Checkpoint) -> None:
    released = replace(checkpoint, face_model=None)
    with pytest.raises(CheckpointError, match="5023 vertices and 9976 faces, the face model has 4000 and 9976"):
        released.build_generator(faces(), 4000, "def")


def test_a_released_file_takes_any_face_model_of_its_size_and_says_so(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        replace(checkpoint, face_model=None).build_generator(faces().flip(0), 5023, "def")
    assert "made here names no face model: taken to fit the one in use (def)" in caplog.text


def test_the_mesh_is_that_of_the_face_model_in_use(checkpoint: Checkpoint) -> None:
    generator = replace(checkpoint, face_model=None).build_generator(faces().flip(0), 5023, "def")
    assert torch.equal(generator.mesh_renderer.tri, faces().flip(0))


def test_files_without_blur_kernels_load(checkpoint: Checkpoint, tmp_path: Path) -> None:
    state = {key: x for key, x in checkpoint.generator.items() if not key.startswith("downsamples.")}
    torch.save({"generator": state, "global_step": 0}, tmp_path / "lean.pth")
    loaded = load_checkpoint(tmp_path / "lean.pth", SMALL)
    export_released(tmp_path / "full.pth", loaded)
    full = torch.load(tmp_path / "full.pth", weights_only=True)["generator"]
    assert list(full) == list(checkpoint.generator)
    assert torch.equal(full["downsamples.x8.weight"], checkpoint.generator["downsamples.x8.weight"])


def spoil(state: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    return {k: v for k, v in (state | {key: value}).items() if v is not None}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("embeds", None, "lacks 1 entries, the first is embeds"),
        ("extra", torch.zeros(1), "1 entries too many, the first is extra"),
        ("embeds", torch.zeros(12, 16), r"embeds is \(12, 16\) torch.float32, expected \(5023, 16\)"),
        ("embeds", torch.zeros(5023, 16).half(), "float16"),
        ("embeds", torch.full((5023, 16), float("nan")), "embeds has values that are not finite"),
        ("downsamples.x4.weight", torch.ones(18, 1, 13, 13), "downsamples.x4.weight is not the Gaussian"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_by_its_first_fault(
    checkpoint: Checkpoint, tmp_path: Path, key: str, value: Any, message: str
) -> None:
    torch.save({"generator": spoil(dict(checkpoint.generator), key, value), "global_step": 0}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(tmp_path / "bad.pth", SMALL)
    assert "bad.pth" in str(error.value)
    assert "\n" not in str(error.value)


def test_another_size_than_the_released_one_needs_its_settings(checkpoint: Checkpoint, tmp_path: Path) -> None:
    export_released(tmp_path / "small.pth", checkpoint)
    with pytest.raises(CheckpointError, match=r"small.pth: lacks \d+ entries"):
        load_checkpoint(tmp_path / "small.pth")


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("sprung"),))


def test_a_file_that_would_run_code_is_refused_unrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trap.pth").write_bytes(pickle.dumps({"generator": Trap()}, protocol=2))
    torch.save({"generator": Trap()}, "zip.pth")
    for name in ("trap.pth", "zip.pth"):
        with pytest.raises(CheckpointError, match="not a file of weights"):
            load_checkpoint(name)
    assert not Path("sprung").exists()


def test_missing_truncated_and_foreign_files_are_told_in_one_line(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "whole.pth", checkpoint)
    export_safetensors(tmp_path / "whole.safetensors", checkpoint)
    for suffix in ("pth", "safetensors"):
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"half.{suffix}").write_bytes(whole[: len(whole) // 2])
        (tmp_path / f"empty.{suffix}").write_bytes(b"")
        (tmp_path / f"text.{suffix}").write_bytes(b"no weights here")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.pth")
    torch.save({"generator": {"conv": 1}}, tmp_path / "numbers.pth")
    names = [f"{kind}.{suffix}" for kind in ("half", "empty", "text", "absent") for suffix in ("pth", "safetensors")]
    for name in [*names, "foreign.pth", "numbers.pth"]:
        with pytest.raises(CheckpointError, match=name) as error:
            load_checkpoint(tmp_path / name)
        assert "\n" not in str(error.value)

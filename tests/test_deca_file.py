"""DECA's model file: both forms load; anything else is one line that says what to do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from deca_set import golden_form, published_deca
from torch import Tensor

from fit_deca.deca_file import load_encoder
from fit_deca.errors import FaceModelError


def save(path: Path, content: Any, zip_form: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zip_form)
    return path


def zeros() -> dict[str, Tensor]:
    return golden_form("E_flame")


def assert_refused(path: Path, *words: str) -> None:
    """Loading `path` gives one line with the file, these words, the asset and where to get it."""
    with pytest.raises(FaceModelError) as fault:
        load_encoder(path)
    text = str(fault.value)
    for word in (str(path), *words, "deca_model.tar", "https://"):
        assert word in text
    assert "\n" not in text


def test_zip_form_loads_in_eval_mode_with_the_very_weights(deca_model_file: Path) -> None:
    encoder = load_encoder(deca_model_file)
    assert not encoder.training
    state = encoder.state_dict()
    for key, value in published_deca()["E_flame"].items():
        assert torch.equal(state[key], value), key


@pytest.mark.parametrize("zip_form", [True, False])
def test_training_checkpoints_of_either_form_load(tmp_path: Path, zip_form: bool) -> None:
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict()
    more = {"opt": optimiser, "global_step": 7, "batch_size": 8, "E_detail": {}, "D_detail": {}}
    marked = zeros() | {"layers.2.bias": torch.arange(236.0)}
    encoder = load_encoder(save(tmp_path / "deca.tar", {"E_flame": marked} | more, zip_form))
    assert torch.equal(encoder.layers[2].bias, torch.arange(236.0))


def test_missing_counts_of_batches_are_allowed(tmp_path: Path) -> None:
    older = {key: value for key, value in zeros().items() if not key.endswith("num_batches_tracked")}
    encoder = load_encoder(save(tmp_path / "deca.tar", {"E_flame": older}))
    assert encoder.encoder.bn1.num_batches_tracked == 0


def test_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    assert_refused(tmp_path / "deca_model.tar", "no such file")
    assert_refused(tmp_path, "no such file")


@pytest.mark.parametrize("zip_form", [True, False])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file_is_told(tmp_path: Path, zip_form: bool, kept: float) -> None:
    whole = save(tmp_path / "whole.tar", {"E_flame": zeros()}, zip_form).read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[: int(kept * len(whole))])
    assert_refused(cut, "truncated")


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>Sign in</html>", b"hello " * 100, b"PK\x03\x04" + bytes(99)]
)
def test_file_of_another_kind_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "deca_model.tar"
    path.write_bytes(content)
    assert_refused(path, "no file of weights")


def test_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "it_ran"

    class Touch:
        def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
            return Path.touch, (trace,)

    bare = tmp_path / "bare.tar"
    bare.write_bytes(pickle.dumps({"E_flame": Touch()}, 2))
    for path in (save(tmp_path / "evil.tar", {"E_flame": zeros(), "opt": Touch()}), bare):
        assert_refused(path, "no file of weights")
    assert not trace.exists()


@pytest.mark.parametrize("content", [{"model": {}}, {"E_flame": torch.zeros(3)}, [1, 2], zeros()])
def test_other_weights_are_told_by_the_missing_entry(tmp_path: Path, content: Any) -> None:
    assert_refused(save(tmp_path / "other.tar", content), "E_flame")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"layers.2.weight": torch.zeros(128, 1024)}, ("layers.2.weight", "(128, 1024)", "(236, 1024)")),
        ({"layers.2.bias": torch.full((236,), torch.nan)}, ("layers.2.bias", "not finite")),
        ({"layers.2.bias": torch.zeros(236, dtype=torch.int64)}, ("layers.2.bias", "int64")),
        ({"layers.2.bias": [0.0] * 236}, ("layers.2.bias", "no plain tensor")),
        ({"module.conv\n1": torch.zeros(1)}, ("unknown", "module.conv")),
    ],
)
def test_mismatched_entry_is_named(tmp_path: Path, changed: dict[str, Any], words: tuple[str, ...]) -> None:
    assert_refused(save(tmp_path / "deca.tar", {"E_flame": zeros() | changed}), *words)


def test_missing_weight_is_named(tmp_path: Path) -> None:
    state = zeros()
    del state["encoder.layer3.5.conv2.weight"]
    assert_refused(save(tmp_path / "deca.tar", {"E_flame": state}), "lacks encoder.layer3.5.conv2.weight")

"""Golden numbers of section 11: DECA's coarse encoder, loaded from a file of the published form."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_set import assert_golden, bound, read_json, read_npz, smooth
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fit_deca.deca_file import load_encoder
from fit_deca.encoder import Encoder, split_parameters


@pytest.fixture(scope="module")
def encoder(deca_model_file: Path) -> Encoder:
    return load_encoder(deca_model_file)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(np.stack([smooth(name, 3, 224, 224) for name in read_json("encoder")["images"]]))


def test_state_dict_lists_the_published_keys_and_shapes_in_order() -> None:
    columns = read_json("state_dicts")["columns"]
    golden = [dict(zip(columns, row, strict=True)) for row in read_json("state_dicts")["E_flame"]["state"]]
    with torch.device("meta"):
        encoder = Encoder()
    parameters = dict(encoder.named_parameters())
    ours = [
        (
            key,
            list(value.shape),
            str(value.dtype).removeprefix("torch."),
            "parameter" if key in parameters else "buffer",
        )
        for key, value in encoder.state_dict().items()
    ]
    assert ours == [(entry["key"], entry["shape"], entry["dtype"], entry["kind"]) for entry in golden]
    assert sum(p.numel() for p in parameters.values()) == read_json("state_dicts")["E_flame"]["parameters"]


@torch.inference_mode()
def test_parameters_and_the_statistics_of_every_stage_are_the_published_ones(encoder: Encoder, images: Tensor) -> None:
    golden, seen = read_json("encoder")["layers"], {}

    def watch(name: str) -> RemovableHandle:
        def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
            x = output.double()
            seen[name] = [x.mean(), x.abs().mean(), x.std(), x.min(), x.max()]

        return encoder.get_submodule(name).register_forward_hook(keep)

    with ExitStack() as hooks:
        for name in golden:
            hooks.enter_context(watch(name))
        parameters = encoder(images)
    assert_golden(parameters, read_npz("encoder")["parameters"], "encoder/parameters")
    for name, expected in golden.items():
        limit = bound("encoder/parameters", max(map(abs, expected)))
        np.testing.assert_allclose(seen[name], expected, rtol=0, atol=limit, err_msg=name)


def test_parts_of_the_output_lie_where_the_published_split_has_them() -> None:
    parameters = torch.arange(2 * 236.0).view(2, 236)
    deca = split_parameters(parameters)
    named = {
        "shape": deca.codes.shape,
        "tex": deca.texture,
        "exp": deca.codes.expression,
        "pose": deca.codes.pose,
        "cam": deca.codes.camera,
        "light": deca.light.flatten(1),
    }
    for name, start, end in read_json("encoder")["split"]:
        assert torch.equal(named[name], parameters[:, start:end])
    assert deca.light.shape == (2, 9, 3)
    assert deca.codes.eyes.shape == (2, 6)
    assert not deca.codes.eyes.any()

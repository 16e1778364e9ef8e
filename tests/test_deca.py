"""The fitter `deca`: the fast encoder against the plain one, and crops to vertices in batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_set import FOLDER, read_json, smooth
from torch import Tensor, nn

from fit_deca.codes import Codes
from fit_deca.deca import DecaFitter
from fit_deca.deca_file import load_encoder
from fit_deca.encoder import Encoder, fast_encoder, split_parameters
from fit_deca.flame import Flame
from fit_deca.model_file import load_face_model


@pytest.fixture(scope="module")
def encoder(deca_model_file: Path) -> Encoder:
    return load_encoder(deca_model_file)


@pytest.fixture(scope="module")
def flame() -> Flame:
    """Seven vertices in FLAME's form."""
    return Flame(load_face_model(FOLDER / "flame_like_python2_chumpy.pkl"))


@pytest.fixture(scope="module")
def faces() -> Tensor:
    """(3, 3, 224, 224) uint8 test pictures."""
    name = read_json("encoder")["images"][0]
    return torch.from_numpy(np.stack([smooth(f"{name}/{i}", 3, 224, 224, hi=255) for i in range(3)]).astype(np.uint8))


class Greedy(nn.Module):
    """An encoder that fits at most `faces` at a time into memory."""

    def __init__(self, encoder: Encoder, faces: int) -> None:
        super().__init__()
        self.encoder, self.faces = encoder, faces

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.faces:
            raise torch.OutOfMemoryError
        return self.encoder(images)


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float32, 1e-5), (torch.float16, 4e-3), (torch.bfloat16, 2e-2)], ids=str
)
@torch.inference_mode()
def test_fast_encoder_gives_the_plain_ones_parameters(
    encoder: Encoder, faces: Tensor, dtype: torch.dtype, error: float
) -> None:
    image = faces[:1] / 255
    fast = fast_encoder(encoder, dtype)
    parameters = fast(image)
    assert parameters.dtype == torch.float32
    assert (parameters - encoder(image)).abs().max() <= error  # parameters are about 1 in size
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert {p.dtype for p in fast.encoder.parameters()} == {dtype}
    assert {p.dtype for p in fast.layers.parameters()} == {torch.float32}


def test_making_the_fast_encoder_leaves_the_plain_one_as_it_was(encoder: Encoder) -> None:
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    fast_encoder(encoder, torch.bfloat16)
    after = encoder.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_bytes_and_fractions_of_one_picture_give_the_same_codes(encoder: Encoder, flame: Flame, faces: Tensor) -> None:
    fitter = DecaFitter(encoder, flame)
    from_bytes, from_fractions = fitter(faces[:1]), fitter(faces[:1] / 255)
    assert torch.equal(from_bytes.codes.flat(), from_fractions.codes.flat())
    assert torch.equal(from_bytes.light, from_fractions.light)


def test_codes_do_not_depend_on_the_batch_even_where_memory_runs_out(
    encoder: Encoder, flame: Flame, faces: Tensor
) -> None:
    expected = split_parameters(encoder(faces / 255))
    found = DecaFitter(Greedy(encoder, 1), flame, batch=3)(faces)  # type: ignore[arg-type]
    torch.testing.assert_close(found.codes.flat(), expected.codes.flat(), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.texture, expected.texture, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.light, expected.light, rtol=0, atol=1e-5)


def test_wrong_size_is_refused(encoder: Encoder, flame: Flame) -> None:
    with pytest.raises(ValueError, match=r"\(B, 3, 224, 224\), got \(1, 3, 256, 256\)"):
        DecaFitter(encoder, flame)(torch.zeros(1, 3, 256, 256))


def test_codes_that_are_not_finite_are_an_error(encoder: Encoder, flame: Flame) -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        DecaFitter(encoder, flame)(torch.full((1, 3, 224, 224), torch.inf))


def test_vertices_of_the_neutral_head_land_where_camera_and_transform_say(encoder: Encoder, flame: Flame) -> None:
    scale, shift_x, shift_y = 2.0, 0.1, -0.3
    neutral = Codes.from_flat(torch.zeros(2, 165))._replace(camera=torch.tensor([[scale, shift_x, shift_y]] * 2))
    recover = torch.tensor([[[112.0, 0, 112], [0, 112, 112], [0, 0, 1]], [[50.0, 0, 7], [0, 50, 9], [0, 0, 1]]])
    first, second = DecaFitter(encoder, flame, batch=1).vertices(neutral, recover)
    x, y, z = flame.v_template.unbind(-1)
    plane = torch.stack([scale * (x + shift_x), -scale * (y + shift_y), -scale * z], dim=-1)
    torch.testing.assert_close(first[:, :2], 112 * plane[:, :2] + 112, rtol=0, atol=1e-3)
    torch.testing.assert_close(second[:, :2], 50 * plane[:, :2] + torch.tensor([7.0, 9.0]), rtol=0, atol=1e-3)
    torch.testing.assert_close(first[:, 2], plane[:, 2], rtol=0, atol=1e-5)


class Overflowing(nn.Module):
    """An encoder whose precision is too low for bright pictures."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        parameters = self.encoder(images)
        return torch.where(images.amax((1, 2, 3))[:, None] == 1, torch.inf, parameters)


def test_a_face_that_overflows_half_precision_is_encoded_exactly_beside_its_batch(
    encoder: Encoder, flame: Flame, faces: Tensor
) -> None:
    pictures = faces.clamp(max=250)
    pictures[1] = 255
    expected = DecaFitter(encoder, flame)(pictures)
    found = DecaFitter(Overflowing(encoder), flame, exact=encoder)(pictures)  # type: ignore[arg-type]
    torch.testing.assert_close(found.codes.flat(), expected.codes.flat(), rtol=0, atol=1e-5)

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gdpw.errors import CheckpointError
from gdpw.st_lpips import StLpips
from pipeline.errors import PipelineError
from pipeline.perceptual_files import st_lpips_file


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        return st_lpips_file()
    except PipelineError as error:
        pytest.skip(str(error))


def _pair() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 8, 8, generator=rng)
    picture = F.interpolate(coarse, size=(64, 72), mode="bicubic").clamp(0, 1)
    return picture, (picture + 0.1 * torch.randn(picture.shape, generator=rng)).clamp(0, 1)


def _written_out(state: dict[str, Tensor], picture: Tensor) -> list[Tensor]:
    """The features straight from the file's own names, with its own blur kernels."""

    def blurred(x: Tensor, key: str) -> Tensor:
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), state[key], stride=2, groups=x.shape[1])

    def convolved(x: Tensor, name: str, padding: int) -> Tensor:
        return F.conv2d(x, state[f"net.{name}.weight"], state[f"net.{name}.bias"], padding=padding)

    x = (2 * picture - 1 - state["scaling_layer.shift"]) / state["scaling_layer.scale"]
    one = blurred(convolved(x, "slice1.0", 2), "net.slice1.1.filt").relu()
    two = convolved(blurred(F.max_pool2d(one, 3, 1), "net.slice2.4.filt"), "slice2.5", 2).relu()
    three = convolved(blurred(F.max_pool2d(two, 3, 1), "net.slice3.8.filt"), "slice3.9", 1).relu()
    four = convolved(three, "slice4.11", 1).relu()
    return [one, two, three, four, convolved(four, "slice5.13", 1).relu()]


def test_the_network_is_that_of_its_file_written_out(weights: Path) -> None:
    state = torch.load(weights, map_location="cpu", weights_only=True)
    expected = torch.zeros(1)
    for level, (a, b) in enumerate(zip(*(_written_out(state, picture) for picture in _pair()), strict=True)):
        a, b = a / a.square().sum(1, keepdim=True).sqrt(), b / b.square().sum(1, keepdim=True).sqrt()
        expected = expected + F.conv2d((a - b).nan_to_num() ** 2, state[f"lin{level}.model.1.weight"]).mean()
    assert torch.allclose(StLpips.load(weights)(*_pair()), expected, rtol=1e-4)


def test_a_shift_matters_less_than_noise_of_the_same_error(weights: Path) -> None:
    network = StLpips.load(weights)
    picture, _ = _pair()
    shifted = picture.roll(1, dims=3)
    strength = (shifted - picture).square().mean().sqrt()
    noisy = picture + strength * torch.randn(picture.shape, generator=torch.Generator().manual_seed(1))
    assert network(picture, picture).item() == 0
    assert network(picture, shifted).item() < 0.5 * network(picture, noisy).item()


def test_pictures_too_small_are_refused() -> None:
    small = torch.zeros(1, 3, 16, 16)
    with pytest.raises(ValueError, match="32 x 32"):
        StLpips()(small, small)


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="lacks"):
        StLpips.load(tmp_path / "other.pth")

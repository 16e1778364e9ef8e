"""The network of the perceptual terms that comes in a wheel, and small pictures."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from gdpw.errors import CheckpointError
from gdpw.losses import features_of, perceptual_distances
from gdpw.perceptual import BlurPool, Vgg16ShiftTolerant, Vgg19
from pipeline.errors import PipelineError
from pipeline.perceptual_files import load_perceptual


@pytest.fixture(scope="module")
def network() -> Vgg16ShiftTolerant:
    try:
        return load_perceptual("vgg16-st")
    except PipelineError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("size", [4, 5, 8])
def test_the_pool_blurs_as_the_wheels_kernel_does(size: int) -> None:
    x = torch.rand(2, 3, size, size + 1)
    kernel = torch.tensor([1.0, 2, 1]) / 4
    expected = F.conv2d(
        F.pad(x, (2, 2, 2, 2), mode="reflect"), torch.outer(kernel, kernel).expand(3, 1, 3, 3), stride=2, groups=3
    )
    torch.testing.assert_close(BlurPool()(x), expected)


def test_the_wheels_weights_make_five_features(network: Vgg16ShiftTolerant) -> None:
    features = network(torch.rand(1, 3, 64, 64))
    assert [feature.shape[1] for feature in features] == [64, 128, 256, 512, 512]
    assert all(feature.std() > 0.01 for feature in features)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_trained_features_tell_a_shifted_picture_from_another(network: Vgg16ShiftTolerant) -> None:
    """Which weights of chance would not, by much."""
    row = torch.linspace(0, 12, 80).sin()
    picture = (0.5 + 0.5 * torch.outer(row, row.roll(9))).expand(1, 3, 80, 80)
    same, shifted, other = picture[..., 8:72, 8:72], picture[..., 8:72, 10:74], torch.rand(1, 3, 64, 64)
    near = perceptual_distances(network, [same], [shifted])
    far = perceptual_distances(network, [same], [other])
    assert (near < 0.6 * far).all()


@pytest.mark.parametrize(("size", "count"), [(16, 5), (8, 4), (4, 3), (1, 1)])
def test_a_small_picture_has_the_features_that_its_pools_leave(size: int, count: int) -> None:
    assert len(Vgg19()(torch.rand(1, 3, size, size))) == count


def test_pictures_of_one_size_go_together_and_come_back_in_their_order() -> None:
    torch.manual_seed(0)
    vgg = Vgg19()
    pictures = [torch.rand(2, 3, 16, 16), torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)]
    for found, picture in zip(features_of(vgg, pictures), pictures, strict=True):
        for ours, theirs in zip(found, vgg(picture), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_none_is_no_network() -> None:
    assert load_perceptual("none") is None


def test_a_missing_wheel_says_what_to_install() -> None:
    missing = mock.patch("pipeline.perceptual_files.distribution", side_effect=PackageNotFoundError("stlpips-pytorch"))
    with missing, pytest.raises(PipelineError, match=r"pip install 'gdpw-pipe\[train\]'"):
        load_perceptual("vgg16-st")


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"net.slice1.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: lacks 25 entries"):
        Vgg16ShiftTolerant.load(tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match=r"list\.pth: not a file of weights by name"):
        Vgg16ShiftTolerant.load(tmp_path / "list.pth")

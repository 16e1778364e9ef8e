from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gdpw.errors import CheckpointError
from gdpw.lpips import Lpips

_CONVOLUTIONS = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Random weights by the published names: torchvision's AlexNet with its classifier, and LPIPS's heads."""
    rng = torch.Generator().manual_seed(0)
    alexnet = {"classifier.1.weight": torch.zeros(2, 2)}
    for number, shape in _CONVOLUTIONS.items():
        fan_in = shape[1] * shape[2] * shape[3]
        alexnet[f"features.{number}.weight"] = torch.randn(shape, generator=rng) * (2 / fan_in) ** 0.5
        alexnet[f"features.{number}.bias"] = torch.randn(shape[0], generator=rng) * 0.1
    heads = {
        f"lin{level}.model.1.weight": torch.rand(1, shape[0], 1, 1, generator=rng)
        for level, shape in enumerate(_CONVOLUTIONS.values())
    }
    paths = tmp_path / "alexnet.pth", tmp_path / "alex.pth"
    torch.save(alexnet, paths[0])
    torch.save(heads, paths[1])
    return paths


def _features(state: dict[str, Tensor], picture: Tensor) -> list[Tensor]:
    """AlexNet's five rectified features, straight from the file's own names."""

    def convolved(x: Tensor, number: int, **how: int) -> Tensor:
        return F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], **how).relu()

    shift, scale = (torch.tensor(v)[:, None, None] for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
    one = convolved((2 * picture - 1 - shift) / scale, 0, stride=4, padding=2)
    two = convolved(F.max_pool2d(one, 3, 2), 3, padding=2)
    three = convolved(F.max_pool2d(two, 3, 2), 6, padding=1)
    four = convolved(three, 8, padding=1)
    return [one, two, three, four, convolved(four, 10, padding=1)]


def test_lpips_is_the_published_formula_written_out(files: tuple[Path, Path]) -> None:
    alexnet, heads = (torch.load(path, weights_only=True) for path in files)
    pictures, others = torch.rand(2, 2, 3, 64, 72, generator=torch.Generator().manual_seed(1))
    expected = torch.zeros(2)
    for level, (a, b) in enumerate(zip(_features(alexnet, pictures), _features(alexnet, others), strict=True)):
        gap = (F.normalize(a, dim=1) - F.normalize(b, dim=1)) ** 2
        expected = expected + F.conv2d(gap, heads[f"lin{level}.model.1.weight"]).mean((1, 2, 3))
    assert torch.allclose(Lpips.load(*files)(pictures, others), expected, rtol=1e-4)


def test_a_picture_is_at_no_distance_from_itself(files: tuple[Path, Path]) -> None:
    picture = torch.rand(1, 3, 40, 40)
    assert Lpips.load(*files)(picture, picture).item() == 0


def test_files_in_each_others_place_are_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(CheckpointError, match=r"lacks 10 entries, the first is features.0.weight"):
        Lpips.load(files[1], files[1])
    with pytest.raises(CheckpointError, match=r"lacks 5 entries, the first is heads.0"):
        Lpips.load(files[0], files[0])


def test_heads_of_another_network_are_refused(files: tuple[Path, Path]) -> None:
    heads = torch.load(files[1], weights_only=True)
    torch.save({**heads, "lin1.model.1.weight": torch.zeros(1, 128, 1, 1)}, files[1])
    with pytest.raises(CheckpointError, match=r"heads.1 is \(1, 128, 1, 1\)"):
        Lpips.load(*files)
